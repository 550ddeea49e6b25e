"""Polytopes: exact boundaries on segments, rays and slices, density, soft codes, frozen transformers."""

from splinelab.polytopes.density import Density, density, sampled_density
from splinelab.polytopes.density.soft import soft_code, soft_density, total_variation
from splinelab.polytopes.freezing import frozen
from splinelab.polytopes.geometry.path_result import Path
from splinelab.polytopes.geometry.paths import path, paths, segment
from splinelab.polytopes.geometry.rays import Ray, rays, slerp
from splinelab.polytopes.geometry.rest import Rest, from_layer
from splinelab.polytopes.geometry.slice_result import Plane
from splinelab.polytopes.geometry.slices import plane

__all__ = [
    "Density",
    "Path",
    "Plane",
    "Ray",
    "Rest",
    "density",
    "from_layer",
    "frozen",
    "path",
    "paths",
    "plane",
    "rays",
    "sampled_density",
    "segment",
    "slerp",
    "soft_code",
    "soft_density",
    "total_variation",
]

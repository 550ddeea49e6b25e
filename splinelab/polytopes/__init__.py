"""Polytopes: exact boundaries on segments, rays and slices, density, soft codes, frozen transformers."""

from splinelab.polytopes.density import Density, density
from splinelab.polytopes.frozen import frozen
from splinelab.polytopes.path import Path
from splinelab.polytopes.planes import plane
from splinelab.polytopes.rays import Ray, rays, sampled_density, slerp
from splinelab.polytopes.regions import Plane
from splinelab.polytopes.rest import Rest, from_layer
from splinelab.polytopes.segments import path, paths, segment
from splinelab.polytopes.soft import sampled_soft_density, soft_code, soft_density, total_variation

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
    "sampled_soft_density",
    "segment",
    "slerp",
    "soft_code",
    "soft_density",
    "total_variation",
]

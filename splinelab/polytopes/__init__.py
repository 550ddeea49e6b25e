"""Polytopes: exact boundaries on segments and slices, density, rays, soft codes."""

from splinelab.polytopes.rays import Ray, rays, sampled_density, slerp
from splinelab.polytopes.rest import Rest, from_layer
from splinelab.polytopes.segments import Path, path, paths, segment

__all__ = [
    "Path",
    "Ray",
    "Rest",
    "from_layer",
    "path",
    "paths",
    "rays",
    "sampled_density",
    "segment",
    "slerp",
]

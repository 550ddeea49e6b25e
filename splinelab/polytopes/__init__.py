"""Polytopes: exact boundaries on segments and slices, density, rays, soft codes."""

from splinelab.polytopes.rest import Rest
from splinelab.polytopes.segments import Path, path, paths, segment

__all__ = ["Path", "Rest", "path", "paths", "segment"]

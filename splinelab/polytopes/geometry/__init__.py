"""Exact boundaries: where a piecewise-linear network bends, on paths and on slices.

`trace` runs a network on the vertices of a `mesh` and cuts it wherever a unit bends: a `path_mesh` into
pieces, a `slice_mesh` into polygons. `paths`, `rays` and `slices` are what users call, and return what
`path_result` and `slice_result` describe; `checks` holds it against the plain network first. `exact` makes
the float64 copy that all of it runs on, `rest` a network from one of its layers on.
"""

"""How close counts as equal. Every tolerance of the geometry stands here."""

#: A value this small against the largest of its unit lies on the unit's boundary: rounding, not geometry.
SNAP = 1e-13

#: Boundaries of a path closer together than this, in units of its coordinate, are crossed at one point.
MERGE = 1e-12

#: `verify=True` accepts this difference from the network, relative to the largest output.
EXACT = 1e-12

#: Three points span no plane if one is this close to the line through the others, against their distances.
#: Points on a line that were rounded to float32 are.
COLLINEAR = 1e-6

#: A polygon this thin against its length has no width that rounding would leave.
FLAT = 1e-15

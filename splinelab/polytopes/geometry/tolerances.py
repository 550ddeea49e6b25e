"""How close counts as equal. Every tolerance of the geometry stands here."""

#: A value this small against the largest of its unit lies on the unit's boundary: rounding, not geometry.
SNAP = 1e-13

#: Boundaries of a path closer together than this, in units of its coordinate, are crossed at one point.
MERGE = 1e-12

#: Verification accepts this difference from the network, relative to the largest output.
EXACT = 1e-12

#: Three points span no plane if one is this close to the line through the others, against their distances.
#: Points on a line that were rounded to float32 are.
COLLINEAR = 1e-6

#: A polygon this thin against its length has no width that rounding would leave.
FLAT = 1e-15

#: A pre-activation this small against the largest of its layer may lie on either side of its threshold.
NEAR = 1e-10

#: The model in its own precision may differ from its float64 copy by this share of the largest output, and by
#: more only if rounding explains it.
OWN = 1e-2

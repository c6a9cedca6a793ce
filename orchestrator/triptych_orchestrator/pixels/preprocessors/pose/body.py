"""OpenPose's body of 18 joints, as its network was trained: the limbs between them, and which maps are whose.

From 0 the joints are nose, neck, right shoulder, elbow and wrist, the left ones, right hip, knee and ankle, the left
ones, right eye, left eye, right ear, left ear. After their maps comes one of what is nobody.
"""

from __future__ import annotations

from typing import NamedTuple

JOINTS = 18
# Of limbs, two each, before those of joints.
FIELDS = 38
MAPS = FIELDS + JOINTS + 1


class Limb(NamedTuple):
    """From joint to joint; of its field, which points along it, x is map `field` and y the next."""

    start: int
    end: int
    field: int


# In the order in which people are put together.
LIMBS = tuple(Limb(*each) for each in (
    (1, 2, 12), (1, 5, 20), (2, 3, 14), (3, 4, 16), (5, 6, 22), (6, 7, 24),  # arms
    (1, 8, 0), (8, 9, 2), (9, 10, 4), (1, 11, 6), (11, 12, 8), (12, 13, 10),  # legs
    (1, 0, 28), (0, 14, 30), (14, 16, 34), (0, 15, 32), (15, 17, 36),  # head
    (2, 16, 18), (5, 17, 26),  # ears to shoulders
))  # fmt: skip
# The last two join what others found, and begin and draw nobody.
DRAWN = LIMBS[:17]

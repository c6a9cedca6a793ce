"""A person as far as one was found: places in pixels, across and down, by the numbers of joints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

Place = tuple[float, float]
Places = Mapping[int, Place]


class Person(NamedTuple):
    """`body` has OpenPose's 18 joints (`body.py`), a hand 21: the wrist, and four of each finger from the thumb on."""

    body: Places
    hands: Sequence[Places] = ()
    face: Sequence[Place] = ()

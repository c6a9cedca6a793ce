"""Skeletons as ControlNets for poses were taught to see them: coloured limbs and joints on black."""

from __future__ import annotations

import math
from collections.abc import Iterable

import cv2
import numpy as np

from triptych_orchestrator.pixels.preprocessors.networks import Pixels, Size
from triptych_orchestrator.pixels.preprocessors.pose.body import DRAWN
from triptych_orchestrator.pixels.preprocessors.pose.people import Skeleton

_HUES = """
ff0000 ff5500 ffaa00 ffff00 aaff00 55ff00 00ff00 00ff55 00ffaa 00ffff 00aaff 0055ff 0000ff 5500ff aa00ff ff00ff ff00aa
ff0055
"""
# Of each joint, and dimmed of each limb.
_COLOURS = tuple(tuple(bytes.fromhex(each)) for each in _HUES.split())
_DIMMED = 0.6
# Pixels: half of how wide a limb is, and a joint's radius.
_WIDE = 4


def drawn(people: Iterable[Skeleton], size: Size) -> Pixels:
    """RGB, [height, width, 3]."""
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    for person in people:
        for limb, colour in zip(DRAWN, _COLOURS, strict=False):
            if limb.start in person and limb.end in person:
                _draw_limb(canvas, person[limb.start], person[limb.end], [int(each * _DIMMED) for each in colour])
        for joint, place in sorted(person.items()):
            cv2.circle(canvas, place, _WIDE, _COLOURS[joint], thickness=-1)
    return canvas


def _draw_limb(canvas: Pixels, start: tuple[int, int], end: tuple[int, int], colour: list[int]) -> None:
    """A full ellipse from one to the other."""
    across, down = start[0] - end[0], start[1] - end[1]
    middle = (start[0] + end[0]) // 2, (start[1] + end[1]) // 2
    axes = int(math.hypot(across, down) / 2), _WIDE
    outline = cv2.ellipse2Poly(middle, axes, int(math.degrees(math.atan2(down, across))), 0, 360, 1)
    cv2.fillConvexPoly(canvas, np.array(outline), colour)

"""People as ControlNets for poses were taught to see them: coloured limbs and fingers, white faces, on black."""

from __future__ import annotations

import colorsys
import math
from collections.abc import Iterable, Sequence

import cv2
import numpy as np

from triptych_orchestrator.pixels.preprocessors.networks import Pixels, Size
from triptych_orchestrator.pixels.preprocessors.pose.body import DRAWN
from triptych_orchestrator.pixels.preprocessors.pose.person import Person, Place, Places

_HUES = """
ff0000 ff5500 ffaa00 ffff00 aaff00 55ff00 00ff00 00ff55 00ffaa 00ffff 00aaff 0055ff 0000ff 5500ff aa00ff ff00ff ff00aa
ff0055
"""
# Of each joint, and dimmed of each limb.
_COLOURS = tuple(tuple(bytes.fromhex(each)) for each in _HUES.split())
_DIMMED = 0.6
# Pixels: half of how wide a limb is, and a joint's radius.
_WIDE = 4
# Of a hand's joints, from the wrist to each finger's tip.
_BONES = tuple(
    (joint if joint % 4 else 0, joint + 1) for finger in range(5) for joint in (4 * finger + each for each in range(4))
)
_BONE_WIDE, _KNUCKLE = 2, (0, 0, 255)
_FACE_WIDE, _WHITE = 3, (255, 255, 255)


def drawn(people: Iterable[Person], size: Size) -> Pixels:
    """RGB, [height, width, 3]."""
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    for person in people:
        _draw_body(canvas, person.body)
        for hand in person.hands:
            _draw_hand(canvas, hand)
        for place in _inside(person.face):
            cv2.circle(canvas, place, _FACE_WIDE, _WHITE, thickness=-1)
    return canvas


def _draw_body(canvas: Pixels, body: Places) -> None:
    for limb, colour in zip(DRAWN, _COLOURS, strict=False):
        if limb.start in body and limb.end in body:
            _draw_limb(canvas, body[limb.start], body[limb.end], [int(each * _DIMMED) for each in colour])
    for joint, place in sorted(body.items()):
        cv2.circle(canvas, _pixel(place), _WIDE, _COLOURS[joint], thickness=-1)


def _draw_limb(canvas: Pixels, start: Place, end: Place, colour: list[int]) -> None:
    """A full ellipse from one to the other."""
    across, down = start[0] - end[0], start[1] - end[1]
    middle = _pixel(((start[0] + end[0]) / 2, (start[1] + end[1]) / 2))
    axes = int(math.hypot(across, down) / 2), _WIDE
    outline = cv2.ellipse2Poly(middle, axes, int(math.degrees(math.atan2(down, across))), 0, 360, 1)
    cv2.fillConvexPoly(canvas, np.array(outline), colour)


def _draw_hand(canvas: Pixels, hand: Places) -> None:
    for number, bone in enumerate(_BONES):
        match _inside([hand[joint] for joint in bone if joint in hand]):
            case [start, end]:
                hue = [round(each * 255) for each in colorsys.hsv_to_rgb(number / len(_BONES), 1, 1)]
                cv2.line(canvas, start, end, hue, thickness=_BONE_WIDE)
    for place in _inside([*hand.values()]):
        cv2.circle(canvas, place, _WIDE, _KNUCKLE, thickness=-1)


def _inside(places: Sequence[Place]) -> list[tuple[int, int]]:
    """Those below and right of the picture's first row and column, as the original has it."""
    return [pixel for pixel in map(_pixel, places) if min(pixel) > 0]


def _pixel(place: Place) -> tuple[int, int]:
    return int(place[0]), int(place[1])

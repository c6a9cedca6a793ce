"""A person's 133 points, each told by two lines: across and down (SimCC: Li et al., arXiv:2107.03332)."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np

from triptych.errors import FailedPreconditionError
from triptych_orchestrator.pixels.preprocessors.networks import (
    IMAGENET,
    Answer,
    Floats,
    Network,
    Normalization,
    Pixels,
    Size,
)
from triptych_orchestrator.pixels.preprocessors.pose.dwpose.detector import Box
from triptych_orchestrator.pixels.preprocessors.pose.person import Person, Place

_OWN = 288, 384
_POINTS = 133
# How many of a line's numbers there are for each pixel.
_FINER = 2
# What of the picture is looked at, of what the detector has found.
_WIDER = 1.25
_LEAST = 0.3
_LEAST_SCALE = 1e-6
# Of each of OpenPose's joints the number among COCO's; the neck is between the shoulders.
_BODY = (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
_NECK, _SHOULDERS = 1, [5, 6]
_EYES = 14, 15
# After the feet.
_FACE, _LEFT_HAND, _RIGHT_HAND = range(23, 91), range(91, 112), range(112, 133)


@dataclass(frozen=True)
class WholeBody(Network):
    """It is given what is in `box`, and what lies around it, in its own proportions; black beyond the picture."""

    normalized: Normalization = IMAGENET
    is_exact: bool = field(default=True, kw_only=True)
    box: Box = (0, 0, 0, 0)

    def size(self, picture: Size, own: Size) -> Size:
        """The same for all pictures."""
        return own[0] or _OWN[0], own[1] or _OWN[1]

    def seen(self, pixels: Pixels, own: Size) -> Floats:
        """That part of the picture."""
        size = self.size((pixels.shape[1], pixels.shape[0]), own)
        (left, top), scale = _view(self.box, size)
        to_view = np.array([[1 / scale, 0, -left / scale], [0, 1 / scale, -top / scale]])
        return self.normalized(np.asarray(cv2.warpAffine(pixels, to_view, size, flags=cv2.INTER_LINEAR), np.uint8))

    def points(self, answer: Answer) -> Floats:
        """[133, 3]: across and down in the picture, and how sure each is."""
        width, height = (_FINER * extent for extent in answer.size)
        if answer.maps.shape != (2, _POINTS, max(width, height)):
            given = " x ".join(map(str, answer.maps.shape))
            wanted = f"two lines for each of {_POINTS} points, of {width} and of {height}"
            raise FailedPreconditionError(f"{self.name}'s file gives {given} numbers, not {wanted}")
        across, down = answer.maps[0, :, :width], answer.maps[1, :, :height]
        sure = np.minimum(across.max(axis=1), down.max(axis=1))
        corner, scale = _view(self.box, answer.size)
        places = np.stack([across.argmax(axis=1), down.argmax(axis=1)], axis=1) / _FINER * scale + corner
        return np.asarray(np.concatenate([places, sure[:, None]], axis=1), np.float32)


def person_of(points: Floats) -> Person:
    """Of the points that are sure enough; hands and face as OpenPose has them."""
    seen = {number: (float(x), float(y)) for number, (x, y, sure) in enumerate(points) if sure >= _LEAST}
    body: dict[int, Place] = {joint: seen[number] for joint, number in enumerate(_BODY) if number in seen}
    if (points[_SHOULDERS, 2] > _LEAST).all():
        x, y, _ = points[_SHOULDERS].mean(axis=0)
        body[_NECK] = float(x), float(y)
    face = [seen[number] for number in _FACE if number in seen]
    if face:
        face += [body[eye] for eye in _EYES if eye in body]
    hands = [
        {number - hand[0]: seen[number] for number in hand if number in seen} for hand in (_LEFT_HAND, _RIGHT_HAND)
    ]
    return Person(body, hands, face)


def _view(box: Box, size: Size) -> tuple[Place, float]:
    """Where the upper left corner of what is given lies in the picture, and how large a pixel of it is there."""
    left, top, right, bottom = box
    scale = max(_WIDER * max((right - left) / size[0], (bottom - top) / size[1]), _LEAST_SCALE)
    return ((left + right - size[0] * scale) / 2, (top + bottom - size[1] * scale) / 2), scale

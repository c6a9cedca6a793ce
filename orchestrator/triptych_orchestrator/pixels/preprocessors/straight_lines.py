"""Straight lines, by M-LSD: each of their middles, and how far from there it begins and ends (arXiv:2106.00186)."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from triptych.errors import FailedPreconditionError
from triptych_orchestrator.pixels.preprocessors.networks import (
    SIGNED,
    Answer,
    Ask,
    Floats,
    Looking,
    Network,
    Normalization,
    Pixels,
    Size,
)

_MULTIPLE = 64
# Of its maps: how likely a middle is, and how far away a line's two ends are, across and down each.
_MIDDLE, _ENDS = 0, slice(1, 5)
_LEAST_MAPS = 5
_MOST = 200
# Beyond it the sigmoid is 0 or 1.
_CERTAIN = 80
_AROUND = np.ones((3, 3), np.uint8)


@dataclass(frozen=True)
class LineNetwork(Network):
    """It is given a channel more, of ones."""

    normalized: Normalization = SIGNED

    def size(self, picture: Size, own: Size) -> Size:
        """The file's own, or the next that it takes."""
        width, height = (-(-extent // _MULTIPLE) * _MULTIPLE for extent in picture)
        return own[0] or width, own[1] or height

    def seen(self, pixels: Pixels, own: Size) -> Floats:
        """Stretched to that."""
        size = self.size((pixels.shape[1], pixels.shape[0]), own)
        sized = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
        return np.concatenate([self.normalized(sized), self.normalized(np.ones_like(sized))[:1]])

    def look(self, pixels: Pixels, least: float, shortest: float) -> Looking:
        """Lines at least so likely, and so long in pixels of the maps."""
        answer: Answer = yield Ask(self, pixels)
        if len(answer.maps) < _LEAST_MAPS:
            wanted = f"{_LEAST_MAPS} or more: of lines' middles, and of their ends from there"
            raise FailedPreconditionError(f"{self.name}'s file gives {len(answer.maps)} maps, not {wanted}")
        return _drawn(_lines(answer.maps, least, shortest), answer.maps.shape, pixels)


def _lines(maps: Floats, least: float, shortest: float) -> Floats:
    """[lines, 4]: across and down where each begins and ends, in pixels of the maps."""
    likely = 1 / (1 + np.exp(-maps[_MIDDLE].clip(-_CERTAIN, _CERTAIN)))
    is_highest = cv2.dilate(likely, _AROUND) == likely
    scores = np.where(is_highest, likely, 0).ravel()
    places = np.argsort(-scores, kind="stable")[:_MOST]
    down, across = np.divmod(places, maps.shape[2])
    ways = maps[_ENDS, down, across].T
    ways = np.where(np.isfinite(ways), ways, 0)
    is_line = (scores[places] > least) & (np.hypot(*(ways[:, :2] - ways[:, 2:]).T) > shortest)
    return np.asarray((np.stack([across, down, across, down], axis=1) + ways)[is_line], np.float32)


def _drawn(lines: Floats, shape: tuple[int, ...], pixels: Pixels) -> Pixels:
    """White, a pixel wide, in the picture's size."""
    height, width, _ = pixels.shape
    scale = np.array([width / shape[2], height / shape[1]] * 2)
    # No farther out than the picture is large: OpenCV counts in 32 bits.
    most = np.array([width, height] * 2)
    ends: NDArray[np.intp] = (lines * scale).clip(-most, 2 * most).astype(np.intp)
    canvas = np.zeros((height, width), np.uint8)
    for left, top, right, bottom in ends.tolist():
        cv2.line(canvas, (left, top), (right, bottom), (255,))
    return canvas

"""People in a picture, by YOLOX as it was exported: without its decoding (Ge et al., arXiv:2107.08430)."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from triptych.errors import FailedPreconditionError
from triptych_orchestrator.pixels.preprocessors.networks import (
    BYTES,
    Answer,
    Floats,
    Network,
    Normalization,
    Pixels,
    Size,
)
from triptych_orchestrator.pixels.preprocessors.pose.plane import fitted

# Left, top, right and bottom, in pixels.
Box = tuple[float, float, float, float]
Boxes = NDArray[np.float64]

_SIDE = 640
_GREY = 114
_STRIDES = (8, 16, 32)
# Of a cell's numbers: a box, how sure it is that something is there, and of what class; the first is people.
_BOX, _SURE, _CLASSES = 4, 4, 5
_LEAST_OF_ANYTHING, _LEAST = 0.1, 0.3
# Of two boxes' area, that they may share.
_SHARED = 0.45
_MOST = 127


@dataclass(frozen=True)
class Detector(Network):
    """What it is given keeps its proportions, and grey lies beside or below it."""

    normalized: Normalization = BYTES
    is_exact: bool = field(default=True, kw_only=True)

    def size(self, picture: Size, own: Size) -> Size:
        """The same for all pictures."""
        return own[0] or _SIDE, own[1] or _SIDE

    def seen(self, pixels: Pixels, own: Size) -> Floats:
        """As large as goes in there, in its upper left corner."""
        picture = pixels.shape[1], pixels.shape[0]
        most = self.size(picture, own)
        width, height = fitted(picture, most)
        canvas = np.full((most[1], most[0], 3), _GREY, np.uint8)
        canvas[:height, :width] = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_LINEAR)
        return self.normalized(canvas)

    def boxes(self, answer: Answer, picture: Size) -> list[Box]:
        """Of people, the surest first; of a picture of things without people the whole, as the original has it."""
        cells = self._cells(answer)
        scores = cells[:, _SURE, None] * cells[:, _CLASSES:]
        if not (scores > _LEAST_OF_ANYTHING).any():
            return []
        larger = max(extent / given for extent, given in zip(picture, answer.size, strict=True))
        boxes = _boxes(cells, answer.size) * larger
        is_person = (scores[:, 0] > _LEAST) & np.isfinite(boxes).all(axis=1)
        # No farther out than the picture is large: a network's exponentials are anything.
        kept = boxes[is_person].clip((-picture[0], -picture[1]) * 2, (2 * picture[0], 2 * picture[1]) * 2)
        return _apart(kept, scores[is_person, 0]) or [(0, 0, *picture)]

    def _cells(self, answer: Answer) -> Floats:
        """[cells, numbers]."""
        count = sum((answer.size[0] // stride) * (answer.size[1] // stride) for stride in _STRIDES)
        _, rows, columns = answer.maps.shape
        if rows != count or columns <= _CLASSES:
            wanted = f"{count} x 85, as YOLOX does of {answer.size[0]} x {answer.size[1]} pixels"
            raise FailedPreconditionError(f"{self.name}'s file gives {rows} x {columns} numbers, not {wanted}")
        cells: Floats = answer.maps[0]
        return cells


def _boxes(cells: Floats, size: Size) -> Boxes:
    """[cells, 4], in pixels of what the network was given: places are told by a cell's, extents by their logarithms."""
    corners, strides = [], []
    for stride in _STRIDES:
        down, across = np.mgrid[: size[1] // stride, : size[0] // stride]
        corners.append(np.stack([across.ravel(), down.ravel()], axis=1))
        strides.append(np.full((across.size, 1), stride))
    stride_of, numbers = np.concatenate(strides), cells[:, :_BOX].astype(np.float64)
    middle = (numbers[:, :2] + np.concatenate(corners)) * stride_of
    with np.errstate(over="ignore", invalid="ignore"):
        half = np.exp(numbers[:, 2:]) * stride_of / 2
        return np.concatenate([middle - half, middle + half], axis=1)


def _apart(boxes: Boxes, scores: Floats) -> list[Box]:
    """The surest first, as many as may be, without those that share too much with a surer one."""
    order, kept = np.argsort(-scores, kind="stable"), list[int]()
    while len(order) and len(kept) < _MOST:
        best, order = order[0], order[1:]
        kept.append(best)
        order = order[_shared(boxes[best], boxes[order]) <= _SHARED]
    return [(float(left), float(top), float(right), float(bottom)) for left, top, right, bottom in boxes[kept]]


def _shared(box: Boxes, others: Boxes) -> Boxes:
    """Of the area of both the share that is in both; a pixel at a border is in."""
    both = np.concatenate([np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])], axis=1)
    inside = _area(both)
    return np.asarray(inside / (_area(box[None]) + _area(others) - inside))


def _area(boxes: Boxes) -> Boxes:
    return np.asarray(np.maximum(boxes[:, 2:] - boxes[:, :2] + 1, 0).prod(axis=1))

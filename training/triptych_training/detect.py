"""Read colours and shapes off a picture's pixels, with numpy alone: the judge of the demo checkpoint.

Usage::

    find_objects(picture)  # Finding(background="yellow", objects=(Found("star", "blue", ...),))
"""

from dataclasses import dataclass
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from triptych_training.drawing import COLOURS, SHAPES, shape_mask

Mask = NDArray[np.bool_]

TEMPLATE_SIZE: Final = 48
LEAST_AREA: Final = 0.004
"""Smallest object worth naming, as a share of the picture's pixels."""

FOREGROUND_DISTANCE: Final = 60.0
"""Distance from the background in 8-bit RGB beyond which a pixel belongs to an object."""


@dataclass(frozen=True)
class Found:
    """One object read off a picture; ``centre`` is (x, y) in fractions, ``area`` a share of the pixels."""

    shape: str
    colour: str
    centre: tuple[float, float]
    area: float


@dataclass(frozen=True)
class Finding:
    """What a picture shows: its background's colour and its objects, largest first."""

    background: str
    objects: tuple[Found, ...]


def find_objects(picture: NDArray[np.uint8]) -> Finding:
    """Name the background and the objects of ``picture``, ``(height, width, 3)``."""
    pixels = picture.astype(np.float64)
    parts = [part for part in components(foreground(picture)) if part.mean() >= LEAST_AREA]
    parts.sort(key=lambda part: -int(part.sum()))
    return Finding(nearest_colour(_background(pixels)), tuple(_describe(pixels, part) for part in parts))


def foreground(picture: NDArray[np.uint8]) -> Mask:
    """Where ``picture``, (height, width, 3), shows something else than its background."""
    pixels = picture.astype(np.float64)
    far: Mask = np.linalg.norm(pixels - _background(pixels), axis=-1) > FOREGROUND_DISTANCE
    return far


def nearest_colour(rgb: NDArray[np.float64]) -> str:
    """Name the colour nearest to ``rgb``, three 8-bit values."""
    distances = {name: float(np.linalg.norm(rgb - np.array(value))) for name, value in COLOURS.items()}
    return min(distances, key=lambda name: distances[name])


def nearest_shape(mask: Mask) -> str:
    """Name the shape whose outline overlaps ``mask`` best once both are scaled to one box."""
    box = _fit_to_box(mask)
    overlaps = {shape: _overlap(box, template) for shape, template in _templates().items()}
    return max(overlaps, key=lambda shape: overlaps[shape])


def components(mask: Mask) -> list[Mask]:
    """Split ``mask`` into its 4-connected parts."""
    labels = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        padded = np.pad(labels, 1)
        neighbours = [padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:]]
        grown = np.where(mask, np.maximum.reduce([labels, *neighbours]), 0)
        # Following each label to its own label's label halves the distance left at every turn.
        follow = np.concatenate([[0], grown.ravel()])
        grown = np.where(mask, np.maximum(grown, follow[grown]), 0)
        if np.array_equal(grown, labels):
            return [labels == label for label in np.unique(labels[labels > 0])]
        labels = grown


def _background(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """The colour along the border."""
    border = [pixels[:3].reshape(-1, 3), pixels[-3:].reshape(-1, 3), pixels[:, 0], pixels[:, -1]]
    return np.asarray(np.median(np.concatenate(border), axis=0))


def _describe(pixels: NDArray[np.float64], part: Mask) -> Found:
    rows, columns = np.nonzero(part)
    height, width = part.shape
    colour = nearest_colour(np.median(pixels[_core(part)], axis=0))
    centre = (float(columns.mean()) / width, float(rows.mean()) / height)
    return Found(nearest_shape(part), colour, centre, float(part.mean()))


def _core(part: Mask) -> Mask:
    """Drop the blended rim of ``part``, unless nothing else is left."""
    padded = np.pad(part, 1)
    inner = part & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return inner if inner.any() else part


def _fit_to_box(mask: Mask) -> NDArray[np.float64]:
    """Crop ``mask`` to its content and sample it on a TEMPLATE_SIZE square, the longer side filling it."""
    rows, columns = np.nonzero(mask)
    side = max(int(np.ptp(rows)), int(np.ptp(columns))) + 1
    middle_row, middle_column = (rows.min() + rows.max()) / 2, (columns.min() + columns.max()) / 2
    steps = ((np.arange(TEMPLATE_SIZE) + 0.5) / TEMPLATE_SIZE - 0.5) * side
    at_row = np.rint(middle_row + steps).astype(int)
    at_column = np.rint(middle_column + steps).astype(int)
    height, width = mask.shape
    inside = ((at_row >= 0) & (at_row < height))[:, None] & ((at_column >= 0) & (at_column < width))[None, :]
    sampled = mask[np.clip(at_row, 0, height - 1)[:, None], np.clip(at_column, 0, width - 1)[None, :]]
    fitted: NDArray[np.float64] = (sampled & inside).astype(np.float64)
    return fitted


def _overlap(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Intersection over union."""
    return float(np.minimum(one, other).sum() / np.maximum(one, other).sum())


@cache
def _templates() -> dict[str, NDArray[np.float64]]:
    masks = {shape: np.asarray(shape_mask(shape, (64.0, 64.0), 42.0, 128, 128)) > 127 for shape in SHAPES}
    return {shape: _fit_to_box(mask) for shape, mask in masks.items()}

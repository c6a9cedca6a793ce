"""Maps as OpenPose's body network makes them of people who stand where a test says, drawn as it was taught to."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Across and down in a person's own box of 1 x 1: nose, neck, right arm, left arm, right leg, left leg, eyes, ears.
STANDING = (
    (0.50, 0.10), (0.50, 0.22), (0.30, 0.24), (0.18, 0.40), (0.10, 0.56), (0.70, 0.24), (0.82, 0.40), (0.90, 0.56),
    (0.40, 0.55), (0.38, 0.75), (0.36, 0.96), (0.60, 0.55), (0.62, 0.75), (0.64, 0.96),
    (0.44, 0.06), (0.56, 0.06), (0.36, 0.08), (0.64, 0.08),
)  # fmt: skip
# Start, end and the first of two maps, as the original numbers them: joints from 1, maps from 19.
LIMBS = (
    (2, 3, 31), (2, 6, 39), (3, 4, 33), (4, 5, 35), (6, 7, 41), (7, 8, 43), (2, 9, 19), (9, 10, 21), (10, 11, 23),
    (2, 12, 25), (12, 13, 27), (13, 14, 29), (2, 1, 47), (1, 15, 49), (15, 17, 53), (1, 16, 51), (16, 18, 55),
    (3, 17, 37), (6, 18, 45),
)  # fmt: skip
Joints = dict[int, tuple[float, float]]


def standing(left: float, top: float, width: float, height: float, without: Sequence[int] = ()) -> Joints:
    """Pixels of a person's joints, from 0."""
    whole = {joint: (left + x * width, top + y * height) for joint, (x, y) in enumerate(STANDING)}
    return {joint: place for joint, place in whole.items() if joint not in without}


def maps(people: Sequence[Joints], shape: tuple[int, int], pixels: float, wide: float = 0.9) -> np.ndarray:
    """[57, height, width] of that shape, each of whose cells is of so many pixels; `wide` is in cells."""
    fields, heat = np.zeros((38, *shape)), np.zeros((19, *shape))
    down, across = np.mgrid[: shape[0], : shape[1]] + 0.0
    for person in people:
        cells = {joint: (np.array(place) + 0.5) / pixels - 0.5 for joint, place in person.items()}
        for joint, (x, y) in cells.items():
            heat[joint] = np.maximum(heat[joint], np.exp(-((across - x) ** 2 + (down - y) ** 2) / (2 * wide**2)))
        for start, end, first in LIMBS:
            if start - 1 in cells and end - 1 in cells:
                _lay(fields[first - 19 : first - 17], across, down, cells[start - 1], cells[end - 1], wide)
    heat[18] = 1 - heat[:18].max(axis=0)
    return np.concatenate([fields, heat]).astype(np.float32)


def _lay(
    field: np.ndarray, across: np.ndarray, down: np.ndarray, start: np.ndarray, end: np.ndarray, wide: float
) -> None:
    length = max(np.linalg.norm(end - start), 1e-6)
    way = (end - start) / length
    along = (across - start[0]) * way[0] + (down - start[1]) * way[1]
    beside = np.abs((across - start[0]) * way[1] - (down - start[1]) * way[0])
    is_limb = (along >= -wide) & (along <= length + wide) & (beside <= wide)
    field[:, is_limb] = way[:, None]

"""Where a picture's joints may be: the peaks of their maps (Cao et al., arXiv:1611.08050, section 2.2)."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from triptych_orchestrator.pixels.preprocessors.networks import Floats
from triptych_orchestrator.pixels.preprocessors.pose.plane import Indices

_SMOOTHED = 3.0  # the Gaussian's deviation, in pixels
_REACH = 4 * _SMOOTHED
_LEAST = 0.1
# People at most, as the original has it: noise has peaks by the thousand.
_MOST = 127


class Peaks(NamedTuple):
    """Of one joint: pixels across and down, and how sure of each the network is; [peaks] each."""

    across: Indices
    down: Indices
    scores: Floats


def peaks(plane: Floats) -> Peaks:
    """From above to below; of more than there may be people the surest."""
    smooth = smoothed(plane)
    down, across = np.nonzero(_is_highest(smooth) & (smooth > _LEAST))
    scores = plane[down, across]
    surest = np.sort(np.argsort(-scores, kind="stable")[:_MOST])
    return Peaks(across[surest], down[surest], scores[surest])


def smoothed(plane: Floats) -> Floats:
    """By a Gaussian of that deviation."""
    side = int(2 * _REACH + 1)
    return np.asarray(cv2.GaussianBlur(plane, (side, side), _SMOOTHED, borderType=cv2.BORDER_REFLECT), plane.dtype)


def _is_highest(plane: Floats) -> NDArray[np.bool_]:
    """Of the four pixels around none is higher."""
    beside = np.pad(plane, 1)
    around = (beside[:-2, 1:-1], beside[2:, 1:-1], beside[1:-1, :-2], beside[1:-1, 2:])
    return np.asarray(np.all([plane >= each for each in around], axis=0), np.bool_)

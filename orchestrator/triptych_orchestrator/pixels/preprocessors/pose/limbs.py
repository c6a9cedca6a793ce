"""Which joints belong together: limbs, by the fields along them (Cao et al., arXiv:1611.08050, equations 10 to 15)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from triptych_orchestrator.pixels.preprocessors.networks import Floats
from triptych_orchestrator.pixels.preprocessors.pose.body import Limb
from triptych_orchestrator.pixels.preprocessors.pose.joints import Peaks
from triptych_orchestrator.pixels.preprocessors.pose.plane import Indices, Maps

# Of the line between two joints, where the field is looked at, how far it is to point along it, and at how many.
_POINTS = 10
_ALONG = 0.05
_ENOUGH = 0.8 * _POINTS
_LEAST_PIXELS = 0.001


class Pair(NamedTuple):
    """Two joints by their numbers among the peaks of theirs, and how sure it is."""

    start: int
    end: int
    score: float


def pairs(limb: Limb, starts: Peaks, ends: Peaks, maps: Maps) -> list[Pair]:
    """The surest first, no joint in two."""
    if not len(starts.scores) or not len(ends.scores):
        return []
    scores = _scores(limb, starts, ends, maps)
    chosen: list[Pair] = []
    while (best := scores.max()) > 0:
        start, end = divmod(int(scores.argmax()), scores.shape[1])
        chosen.append(Pair(start, end, float(best)))
        scores[start], scores[:, end] = 0, 0
    return chosen


def _scores(limb: Limb, starts: Peaks, ends: Peaks, maps: Maps) -> Floats:
    """[starts, ends], of each two how far the field points from one to the other; 0 where it does not."""
    vectors = np.stack(
        [ends.across[None] - starts.across[:, None], ends.down[None] - starts.down[:, None]], axis=2
    ).astype(np.float64)
    length = np.maximum(np.linalg.norm(vectors, axis=2), _LEAST_PIXELS)
    along = _along(limb, starts, ends, maps, vectors / length[..., None])
    far = np.minimum(0.5 * maps.size[1] / length - 1, 0)
    is_limb = (along > _ALONG).sum(axis=2) > _ENOUGH
    return np.asarray(np.where(is_limb, along.mean(axis=2) + far, 0), np.float32)


def _along(limb: Limb, starts: Peaks, ends: Peaks, maps: Maps, ways: NDArray[np.float64]) -> NDArray[np.float64]:
    """[starts, ends, points], the field's share of that way."""
    across = _line(starts.across, ends.across)
    down = _line(starts.down, ends.down)
    x, y = (maps.at(limb.field + axis, across, down).reshape(*ways.shape[:2], _POINTS) for axis in (0, 1))
    return np.asarray(x * ways[..., :1] + y * ways[..., 1:])


def _line(starts: Indices, ends: Indices) -> Indices:
    """[starts * ends, points], the pixels from each to each."""
    share = np.linspace(0, 1, _POINTS)
    exact = starts[:, None, None] * (1 - share) + ends[None, :, None] * share
    return np.rint(exact).astype(np.intp).reshape(-1, _POINTS)

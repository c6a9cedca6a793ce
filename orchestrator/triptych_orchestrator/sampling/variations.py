"""A pass's random numbers: those of its seeds, and A1111's ways to begin with noise that is nearly another's.

randomness = Randomness((7,), Variation(subseeds=(8,), strength=0.1))
noise = randomness.first((1, 4, 64, 64))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from triptych_orchestrator.sampling.noise import Generator, draw

Array = NDArray[np.float32]

# Of A1111: from here on two noises are one, and no arc leads between them.
_SAME = 0.9995


@dataclass(frozen=True)
class Variation:
    """The noise of `subseeds`, which count as seeds do, is blended in by `strength`.

    `resize_from` [h, w] is the size of latents for which the seeds' noise is drawn; it is laid in the middle.
    """

    subseeds: tuple[int, ...] = ()
    strength: float = 0.0
    resize_from: tuple[int, int] | None = None


class Randomness:
    """Draws as diffusers does; the first noise of a pass as A1111 varies it."""

    def __init__(self, seeds: Sequence[int], variation: Variation | None = None) -> None:
        self._seeds = seeds
        self._variation = variation or Variation()
        self.generators = [Generator(seed) for seed in seeds]

    def draw(self, shape: Sequence[int]) -> Array:
        """Further noise [B, C, h, w]."""
        return draw(self.generators, shape)

    def first(self, shape: Sequence[int]) -> Array:
        """What a pass begins with, or what its pictures are given."""
        size = self._variation.resize_from
        if size is None or size == tuple(shape[2:]):
            return self._blended(self.draw(shape))
        drawn = draw([Generator(seed) for seed in self._seeds], (*shape[:2], *size))
        return _in_the_middle(self._blended(drawn), self.draw(shape))

    def _blended(self, noise: Array) -> Array:
        if not self._variation.strength:
            return noise
        others = draw([Generator(seed) for seed in self._variation.subseeds], noise.shape)
        pairs = zip(noise, others, strict=True)
        return np.stack([slerp(self._variation.strength, one, other) for one, other in pairs])


def slerp(share: float, one: Array, other: Array) -> Array:
    """So far along the arc from one noise [C, h, w] to the other, column by column as A1111 does it."""
    units = (noise / np.linalg.norm(noise, axis=1, keepdims=True) for noise in (one, other))
    dot = np.sum(np.multiply(*units), axis=1, keepdims=True)
    if dot.mean() > _SAME:
        return np.float32(share) * one + np.float32(1 - share) * other
    angle = np.arccos(np.clip(dot, -1, 1))
    sine = np.sin(angle)
    # Columns that point the same way have no arc between them, nor a sine to divide by.
    is_line, divisor = sine == 0, np.where(sine == 0, np.float32(1), sine)
    first, second = (
        np.where(is_line, np.float32(part), np.sin(np.float32(part) * angle) / divisor) for part in (1 - share, share)
    )
    return np.asarray(first * one + second * other, np.float32)


def _in_the_middle(inner: Array, outer: Array) -> Array:
    """The outer noise with the inner one in its middle, cut where that is larger."""
    laid = outer.copy()
    (to_y, from_y, height), (to_x, from_x, width) = map(_overlap, inner.shape[2:], outer.shape[2:])
    laid[..., to_y : to_y + height, to_x : to_x + width] = inner[..., from_y : from_y + height, from_x : from_x + width]
    return laid


def _overlap(inner: int, outer: int) -> tuple[int, int, int]:
    """Where it begins in the outer, where in the inner, and how much it is; in A1111's rounding."""
    margin = (outer - inner) // 2
    return max(margin, 0), max(-margin, 0), inner if margin >= 0 else inner + 2 * margin

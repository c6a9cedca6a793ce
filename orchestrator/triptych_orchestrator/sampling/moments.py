"""Latents of a picture, drawn from the moments that a VAE's encoder gives (diffusers' DiagonalGaussianDistribution)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from triptych_orchestrator.sampling.noise import Generator, draw

Array = NDArray[np.float32]


def draw_latents(moments: Array, generators: Sequence[Generator], count: int) -> Array:
    """Latents [count, C, h, w] from means and log variances [pictures, 2 C, h, w]: one picture, or one for each.

    Several generators draw one sample each, whether or not of the same picture. A single one draws once a picture, and
    the samples are repeated, as diffusers' image-to-image does.
    """
    if len(generators) > 1:
        moments = _repeated(moments, count)
    return _repeated(_drawn(moments, generators), count)


def draw_once(moments: Array, generators: Sequence[Generator], count: int) -> Array:
    """The same, each picture being drawn once by the first generators, as diffusers' inpainting does."""
    return _repeated(_drawn(moments, drawing(generators, len(moments))), count)


def drawing(generators: Sequence[Generator], pictures: int) -> Sequence[Generator]:
    """A single one draws for all pictures, of several each for its own."""
    return generators if len(generators) == 1 else generators[:pictures]


def _drawn(moments: Array, generators: Sequence[Generator]) -> Array:
    mean, log_variance = np.split(moments, 2, axis=1)
    deviation = np.exp(np.float32(0.5) * np.clip(log_variance, -30.0, 20.0))
    drawn: Array = mean + deviation * draw(generators, mean.shape)
    return drawn


def _repeated(samples: Array, count: int) -> Array:
    return np.tile(samples, (count // len(samples), 1, 1, 1))

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
    mean, log_variance = np.split(moments, 2, axis=1)
    deviation = np.exp(np.float32(0.5) * np.clip(log_variance, -30.0, 20.0))
    return _repeated(mean + deviation * draw(generators, mean.shape), count)


def _repeated(samples: Array, count: int) -> Array:
    return np.tile(samples, (count // len(samples), 1, 1, 1))

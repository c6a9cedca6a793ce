"""Classifier-free guidance (Ho and Salimans 2022, arXiv:2207.12598, equation 6, in diffusers' parametrisation)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]


def is_guided(guidance_scale: float) -> bool:
    """Whether the unconditional half is computed at all."""
    return guidance_scale > 1


def combine(unconditional: Array, conditional: Array, guidance_scale: float) -> Array:
    """Unconditional + guidance_scale * (conditional - unconditional), in float32; at 1 that is the conditional."""
    return unconditional + np.float32(guidance_scale) * (conditional - unconditional)

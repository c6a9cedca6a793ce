"""Arrays that stay where an engine has them: what one makes for another's next run, a GPU's memory being far away.

Whatever kind they are of, they have a shape, and can be sliced, summed, and added to others of their kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from triptych.engine.port import Array

Kept = Any
"""numpy's, or of a kind that the engine which made it takes as an input."""


def stacked(arrays: Sequence[Kept]) -> Kept:
    """Along a new first dimension."""
    return _library(arrays[0]).stack(arrays)


def concatenated(arrays: Sequence[Kept]) -> Kept:
    """Along the first dimension."""
    return _library(arrays[0]).concatenate(arrays)


def times(array: Kept, factors: Array) -> Kept:
    """The array [B, ...], each sample by its factor [B]."""
    own = factors if isinstance(array, np.ndarray) else array.new_tensor(factors)
    return array * own.reshape(-1, *[1] * (len(array.shape) - 1))


def spread(array: Kept, shape: Sequence[int]) -> Kept:
    """Seen as one of that shape, where it has one number for many."""
    return _library(array).broadcast_to(array, tuple(shape))


def _library(array: Kept) -> Any:
    """Whose functions have the same names in both."""
    if isinstance(array, np.ndarray):
        return np
    import torch

    return torch

"""The Tucker form of a convolution that LoHa and LoKr share: two factors and a core that has the kernel."""

from __future__ import annotations

import numpy as np

from triptych.lora.algorithms.base import Array, Shapes


def rebuilt(core: Array, outer: Array, inner: Array) -> Array:
    """[rank, rank, ...] with [rank, out] and [rank, in] as [out, in, ...]."""
    product = np.tensordot(inner, core, (0, 1))  # in, rank, ...
    return np.tensordot(outer, product, (0, 1))


def problem(shapes: Shapes, core: str, outer: str, inner: str) -> str | None:
    """What is wrong between the three, or None."""
    rank = shapes[outer][0]
    if len(shapes[core]) < 3 or shapes[core][:2] != (rank, shapes[inner][0]) or rank != shapes[inner][0]:
        return f"{core} {shapes[core]} does not fit between {outer} {shapes[outer]} and {inner} {shapes[inner]}"
    return None

"""DoRA: a weight's rows, or columns, keep their direction and take a learned length (Liu et al., arXiv:2402.09353).

W' = m * (W + delta) / ||W + delta||, over whichever algorithm the delta is of. PEFT's magnitudes are the outputs';
LyCORIS' and OneTrainer's are the inputs' or, with `wd_on_output`, the outputs', which their shape tells.
"""

from __future__ import annotations

import numpy as np

from triptych.lora.algorithms.base import Array, Numbers, Shape

_EPSILON = np.finfo(np.float32).eps


def fits(part: str, magnitudes: Shape, shape: Shape) -> bool:
    """Whether magnitudes of that shape are for a weight of the other."""
    size = int(np.prod(magnitudes))
    return len(shape) > 1 and size == shape[0 if _of_outputs(part, magnitudes, shape) else 1]


def decomposed(numbers: Numbers, part: str, base: Array, delta: Array) -> Array:
    """What is added to `base` where `delta`, which is of its shape, is what the algorithm alone would add."""
    magnitudes, weight = numbers[part], base + delta
    on_outputs = _of_outputs(part, magnitudes.shape, base.shape)
    axes = tuple(axis for axis in range(base.ndim) if axis != (0 if on_outputs else 1))
    lengths = np.sqrt(np.square(weight).sum(axes, keepdims=True)) + _EPSILON
    moved: Array = weight * (magnitudes.reshape(lengths.shape) / lengths) - base
    return moved


def _of_outputs(part: str, magnitudes: Shape, shape: Shape) -> bool:
    if part == "lora_magnitude_vector":
        return True
    if len(magnitudes) > 1:
        return magnitudes[0] == shape[0]
    return magnitudes == shape[:1]

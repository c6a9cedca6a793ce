"""The arithmetic: a parameter plus what LoRAs add to it, in float32, then in the parameter's own type.

W' = W + sum over LoRAs of weight * alpha / rank * up @ down (Hu et al., "LoRA", arXiv:2106.09685, section 4.1; `down`
is their A, `up` their B). A convolution's `down` has its kernel; in Tucker form a third factor in between has it.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from triptych.checkpoint.safetensors import TensorInfo, map_tensor
from triptych.lora.failures import refused, shown
from triptych.lora.matching import Target

# Elements of the product that exist at one time, beside the result: 4 MB stay in a core's cache.
_CHUNK_ELEMENTS = 1 << 20
# No sound factor comes near it, and the sums of what is below stay finite in float32.
_LARGEST = 1e30

_Matrix = npt.NDArray[np.float32]


def merge(
    base: npt.NDArray[Any], contributions: Sequence[tuple[Target, float]], maps: dict[Path, mmap.mmap]
) -> npt.NDArray[Any]:
    """A new C-contiguous array of the same type: `base` plus every contribution at its weight, in the order given.

    base: the targets' parameter, [out, in] or [out, in, height, width], left as it is. `maps` keeps files mapped from
    call to call. LoraInvalidError if a number is not finite, absurd or beyond what the type holds, or a file is gone or
    shorter than it was.
    """
    merged = np.array(base, order="C")
    if not contributions:
        return merged
    factors = [_factors(target, weight, maps) for target, weight in contributions]
    # All LoRAs at once: ups side by side times downs on top of each other is the sum of the products.
    ups = np.concatenate([up for up, _ in factors], axis=1)
    downs = np.concatenate([down for _, down in factors], axis=0)
    rows = merged.reshape(merged.shape[0], -1)
    step = max(1, _CHUNK_ELEMENTS // rows.shape[1])
    for start in range(0, len(rows), step):
        part, added = rows[start : start + step], ups[start : start + step] @ downs
        if merged.dtype == np.float32:
            part += added
        else:
            part[:] = _rounded(part.astype(np.float32) + added, merged.dtype, contributions[0][0])
    return merged


def _rounded(sums: _Matrix, dtype: np.dtype[Any], target: Target) -> npt.NDArray[Any]:
    try:
        with np.errstate(over="raise"):
            return sums.astype(dtype)
    except FloatingPointError:
        module = target.module
        problem = f"{shown(module.key)}: with it {target.parameter} is beyond the checkpoint's own type, {dtype}"
        raise refused(module.down.path, problem) from None


def _factors(target: Target, weight: float, maps: dict[Path, mmap.mmap]) -> tuple[_Matrix, _Matrix]:
    """One contribution as up [out, rank], scaled, and down [rank, in * height * width]."""
    module = target.module
    rank = module.rank
    # Hostile numbers overflow here, and are refused below.
    with np.errstate(over="ignore", invalid="ignore"):
        alpha = module.alpha
        if isinstance(alpha, TensorInfo):
            alpha = float(_read(alpha, maps).reshape(()))
        scale = weight * (1.0 if alpha is None else alpha / rank)
        up = _read(module.up, maps).reshape(-1, rank) * np.float32(scale)
        down = _read(module.down, maps).reshape(rank, -1)
        if module.mid is not None:
            down = _with_kernel(_read(module.mid, maps), down)
    up_peak, down_peak = _peak(up), _peak(down)
    # NaN compares as false with everything.
    if not (up_peak < _LARGEST and down_peak < _LARGEST and up_peak * down_peak * rank < _LARGEST):
        raise refused(module.down.path, f"{shown(module.key)}: its numbers are not finite, or absurdly large")
    return up, down


def _with_kernel(mid: _Matrix, down: _Matrix) -> _Matrix:
    """The Tucker form's [rank, rank, height, width] and [rank, in] as one [rank, in * height * width]."""
    rank, _, height, width = mid.shape
    kernels = mid.transpose(0, 2, 3, 1).reshape(-1, rank) @ down
    return kernels.reshape(rank, height, width, -1).transpose(0, 3, 1, 2).reshape(rank, -1)


def _read(info: TensorInfo, maps: dict[Path, mmap.mmap]) -> _Matrix:
    try:
        return np.asarray(map_tensor(info, maps), np.float32)
    except (OSError, ValueError) as error:
        raise refused(info.path, f"cannot be read any more: {error}") from error


def _peak(factor: _Matrix) -> float:
    """The largest absolute value; NaN if there is one."""
    return max(float(np.max(factor)), -float(np.min(factor)))

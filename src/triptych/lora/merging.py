"""The arithmetic: a parameter plus what adapters add to it, in float32, then in the parameter's own type.

W' = W + sum over adapters of weight * delta(W), each delta of the checkpoint's own W. LoRA's, of low rank, are never
made whole.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from triptych.checkpoint.safetensors import TensorInfo, map_tensor
from triptych.lora.algorithms import LOW_RANK, Numbers
from triptych.lora.algorithms.decomposition import decomposed
from triptych.lora.failures import refused, shown
from triptych.lora.file import LoraModule
from triptych.lora.matching import Target

# Elements of the product that exist at one time, beside the result: 512 kB stay in a core's own cache.
_CHUNK_ELEMENTS = 1 << 17
# No sound factor comes near it, and the sums of what is below stay finite in float32.
_LARGEST = 1e30

_Matrix = npt.NDArray[np.float32]
_Contributions = Sequence[tuple[Target, float]]


def merge(base: npt.NDArray[Any], contributions: _Contributions, maps: dict[Path, mmap.mmap]) -> npt.NDArray[Any]:
    """A new C-contiguous array of the same type: `base` plus every contribution at its weight, in the order given.

    base: the targets' parameter, left as it is. `maps` keeps files mapped from call to call. LoraInvalidError if a
    number is not finite, absurd or beyond what the type holds, or a file is gone or shorter than it was.
    """
    merged = np.array(base, order="C")
    if not contributions:
        return merged
    low_rank = [each for each in contributions if _is_low_rank(each[0])]
    whole = _whole_sum(base, [each for each in contributions if not _is_low_rank(each[0])], maps)
    rows = merged.reshape(merged.shape[0], -1)
    # All LoRAs at once: ups side by side times downs on top of each other is the sum of the products.
    none = np.empty((len(rows), 0), np.float32), np.empty((0, rows.shape[1]), np.float32)
    factors = [none, *(_factors(target, weight, maps) for target, weight in low_rank)]
    ups = np.concatenate([up for up, _ in factors], axis=1)
    downs = np.concatenate([down for _, down in factors], axis=0)
    _add(rows, ups, downs, whole, contributions[0][0])
    return merged


def _add(rows: npt.NDArray[Any], ups: _Matrix, downs: _Matrix, whole: _Matrix | None, target: Target) -> None:
    """Adds ups @ downs, and `whole` if there is one, in place and piece by piece."""
    step = max(1, _CHUNK_ELEMENTS // rows.shape[1])
    product = np.empty((min(step, len(rows)), rows.shape[1]), np.float32)
    for start in range(0, len(rows), step):
        chunk = slice(start, start + step)
        added = np.matmul(ups[chunk], downs, out=product[: len(ups[chunk])])
        if whole is not None:
            added += whole[chunk]
        if rows.dtype == np.float32:
            rows[chunk] += added
        else:
            rows[chunk] = _rounded(rows[chunk].astype(np.float32) + added, rows.dtype, target)


def _is_low_rank(target: Target) -> bool:
    return target.module.algorithm is LOW_RANK and target.role == "weight" and target.module.magnitudes is None


def _whole_sum(base: npt.NDArray[Any], contributions: _Contributions, maps: dict[Path, mmap.mmap]) -> _Matrix | None:
    """What those add together, as a matrix; None for nothing."""
    if not contributions:
        return None
    own = np.asarray(base, np.float32)
    added = np.zeros((own.shape[0], own.size // own.shape[0]), np.float32)
    for target, weight in contributions:
        added += _delta(target, weight, own, maps).reshape(added.shape)
    if not _peak(added) < _LARGEST:
        raise _absurd(contributions[0][0])
    return added


def _rounded(sums: _Matrix, dtype: np.dtype[Any], target: Target) -> npt.NDArray[Any]:
    try:
        with np.errstate(over="raise"):
            return sums.astype(dtype)
    except FloatingPointError:
        module = target.module
        problem = f"{shown(module.key)}: with it {target.parameter} is beyond the checkpoint's own type, {dtype}"
        raise refused(module.path, problem) from None


def _factors(target: Target, weight: float, maps: dict[Path, mmap.mmap]) -> tuple[_Matrix, _Matrix]:
    """One contribution as up [out, rank], scaled, and down [rank, in * height * width]."""
    with _applying(target):
        up, down = LOW_RANK.factors(_numbers(target.module, maps))
        up = up * np.float32(weight)
    up_peak, down_peak = _peak(up), _peak(down)
    # NaN compares as false with everything.
    if not (up_peak < _LARGEST and down_peak < _LARGEST and up_peak * down_peak * len(down) < _LARGEST):
        raise _absurd(target)
    return up, down


def _delta(target: Target, weight: float, base: _Matrix, maps: dict[Path, mmap.mmap]) -> _Matrix:
    """One contribution, in the parameter's shape."""
    module = target.module
    with _applying(target):
        numbers = _numbers(module, maps)
        delta = module.algorithm.delta(numbers, target.role, base).reshape(base.shape)
        if target.role == "weight" and module.magnitudes is not None:
            delta = decomposed(numbers, module.magnitudes, base, delta)
        delta = delta * np.float32(weight)
    if not _peak(delta) < _LARGEST:
        raise _absurd(target)
    return delta


@contextmanager
def _applying(target: Target) -> Iterator[None]:
    """Refuses what cannot be computed; hostile numbers may overflow, and are refused when the result is looked at."""
    module = target.module
    try:
        with np.errstate(all="ignore"):
            yield
    except (ValueError, np.linalg.LinAlgError) as error:
        raise refused(module.path, f"{shown(module.key)}: cannot be applied to {target.parameter}: {error}") from error


def _numbers(module: LoraModule, maps: dict[Path, mmap.mmap]) -> Numbers:
    alpha = module.alpha
    if isinstance(alpha, TensorInfo):
        alpha = float(_read(alpha, maps).reshape(()))
    parts = {part: _read(info, maps) for part, info in module.tensors.items()}
    return Numbers(parts, alpha, module.options)


def _read(info: TensorInfo, maps: dict[Path, mmap.mmap]) -> _Matrix:
    try:
        return np.asarray(map_tensor(info, maps), np.float32)
    except (OSError, ValueError) as error:
        raise refused(info.path, f"cannot be read any more: {error}") from error


def _peak(numbers: _Matrix) -> float:
    """The largest absolute value; NaN if there is one."""
    return max(float(np.max(numbers)), -float(np.min(numbers)))


def _absurd(target: Target) -> Exception:
    return refused(target.module.path, f"{shown(target.module.key)}: its numbers are not finite, or absurdly large")

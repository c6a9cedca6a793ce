"""The three float types of a graph, and float32 arrays rounded to them as torch rounds: to nearest, ties to even."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx

FLOAT: int = onnx.TensorProto.FLOAT
FLOAT16: int = onnx.TensorProto.FLOAT16
BFLOAT16: int = onnx.TensorProto.BFLOAT16
PRECISIONS: dict[str, int] = {"fp32": FLOAT, "fp16": FLOAT16, "bf16": BFLOAT16}
# The largest finite number of each.
LARGEST: dict[int, float] = {FLOAT: 3.4028234663852886e38, FLOAT16: 65504.0, BFLOAT16: 3.3895313892515355e38}


def encode(array: npt.NDArray[np.float32], data_type: int) -> npt.NDArray[np.generic]:
    """The array's bits in an ONNX float type; bfloat16 as uint16, for numpy has no such type."""
    if data_type == FLOAT:
        return np.ascontiguousarray(array, "<f4")
    if data_type == FLOAT16:
        with np.errstate(over="ignore"):  # to infinity, as torch does
            return array.astype("<f2")
    bits = np.ascontiguousarray(array, "<f4").view("<u4")
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1))) >> 16
    return np.where(np.isnan(array), np.uint32(0x7FC0), rounded).astype("<u2")

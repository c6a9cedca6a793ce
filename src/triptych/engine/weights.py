"""Brings a component's tensors from its files to an engine: matched with the graph's parameters, widened to float32."""

from __future__ import annotations

import mmap
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from triptych.checkpoint import Component
from triptych.checkpoint.safetensors import TensorInfo, map_tensor
from triptych.engine.port import Weights
from triptych.errors import CheckpointInvalidError, invalid

_FLOATS = ("F64", "F32", "F16", "BF16")


def check_parameters(component: Component, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """CheckpointInvalidError unless every parameter of the graph is in the files, in its shape and as floats."""
    for name, shape in shapes.items():
        info = component.weights.get(name)
        if info is None:
            problem = f"{component.folder}: the weights lack {name}, which {component.architecture.class_name} needs"
            raise CheckpointInvalidError(problem, file=str(component.folder), tensor=name)
        if info.shape != shape or info.dtype not in _FLOATS:
            problem = f"{info.path}: {name} is {info.dtype} {info.shape}, but the configuration makes it float {shape}"
            raise CheckpointInvalidError(problem, file=str(info.path), tensor=name)


def lies_ready(info: TensorInfo) -> bool:
    """Whether an engine can read the tensor where it lies: float32, and aligned, which files need not do."""
    return info.dtype == "F32" and info.offset_bytes % 4 == 0 and info.size_bytes > 0


def float32_weights(component: Component, names: Iterable[str]) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """Each named tensor as float32 in C order: a view into the mapped file where it is that already, else a copy."""
    maps: dict[Path, mmap.mmap] = {}
    for name in names:
        yield name, np.ascontiguousarray(map_tensor(component.weights[name], maps), dtype=np.float32)


def check_refit(weights: Weights, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """InvalidArgumentError unless every name is an exchangeable weight and every array float32 of its shape."""
    for name, array in weights.items():
        if name not in shapes:
            raise invalid(name, "is no weight of a Linear or convolution layer here")
        if array is not None and (array.dtype != np.float32 or array.shape != shapes[name]):
            raise invalid(name, f"must be float32 {shapes[name]}, not {array.dtype} {array.shape}")

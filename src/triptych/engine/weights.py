"""Brings a component's tensors from its files to an engine: matched with the graph's parameters, mapped or widened.

What the files have in half precision can stay there, mapped, where the engine widens it itself: `held_weights`.
"""

from __future__ import annotations

import mmap
from collections.abc import Container, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt

from triptych.checkpoint import Component
from triptych.checkpoint.safetensors import TensorInfo, map_file, map_tensor
from triptych.engine.port import Weights
from triptych.errors import CheckpointInvalidError, invalid

Maps = dict[Path, mmap.mmap]
"""Weights files by their paths; a map stays with the file that it was made of, whatever gets that name later."""

_FLOATS = ("F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2")
_FLOAT32 = np.dtype(np.float32)
_HALVES = {"F16": np.dtype(np.float16), "BF16": np.dtype(ml_dtypes.bfloat16)}


def check_parameters(component: Component, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """CheckpointInvalidError unless every parameter of the graph is in the files, in its shape and as floats."""
    for name, shape in shapes.items():
        info = component.weights.get(name)
        if info is None:
            problem = f"{component.place}: the weights lack {name}, which {component.architecture.class_name} needs"
            raise CheckpointInvalidError(problem, file=str(component.place), tensor=name)
        if info.shape != shape or info.dtype not in _FLOATS:
            problem = f"{info.path}: {name} is {info.dtype} {info.shape}, but the configuration makes it float {shape}"
            raise CheckpointInvalidError(problem, file=str(info.path), tensor=name)


def held_type(info: TensorInfo) -> np.dtype[Any]:
    """The type that a tensor is held in where it need not be widened: halves stay halves, all else becomes float32."""
    return _HALVES.get(info.dtype, _FLOAT32)


def lies_ready(info: TensorInfo) -> bool:
    """Whether an engine can read the tensor where it lies: float32, aligned, and in C order."""
    return info.dtype == "F32" and info.is_aligned and not info.transposed and info.size_bytes > 0


def map_files(component: Component) -> Maps:
    """For whoever reads weights of a component later than its load; memory is taken by what is read."""
    return {path: map_file(path) for path in {info.path for info in component.weights.values()}}


def held_weights(
    component: Component, names: Iterable[str], maps: Maps | None = None
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    """Each named tensor in its `held_type`, in C order: a view into the mapped file where it can be, else a copy.

    Without `maps` the files that have the component's paths now are mapped, so that is for a load alone.
    """
    maps = {} if maps is None else maps
    for name in names:
        info = component.weights[name]
        yield name, np.ascontiguousarray(map_tensor(info, maps), dtype=held_type(info))


def float32_weights(
    component: Component, names: Iterable[str], maps: Maps | None = None
) -> Iterator[tuple[str, npt.NDArray[np.float32]]]:
    """Each named tensor as float32, in C order: halves are widened in memory, each into a copy of its own."""
    for name, array in held_weights(component, names, maps):
        yield name, np.asarray(array, np.float32)


def check_refit(component: Component, weights: Weights, exchangeable: Container[str]) -> None:
    """InvalidArgumentError unless every name is an exchangeable weight, and every array has its shape and type."""
    for name, array in weights.items():
        if name not in exchangeable:
            raise invalid(name, "is no weight or bias of a layer that can be exchanged here")
        info = component.weights[name]
        dtype = held_type(info)
        if array is not None and (array.dtype != dtype or array.shape != info.shape):
            raise invalid(name, f"must be {dtype} {info.shape}, not {array.dtype} {array.shape}")

"""The classes of a run and of a refit: an engine that computes with the weights it holds."""

from __future__ import annotations

import ctypes
import json
from typing import Any, ClassVar

import numpy as np

from tests.engine.tensorrt.standin.part import Part

_NUMPY = {"FLOAT": np.float32, "HALF": np.float16, "INT64": np.int64}


class Weights(Part):
    def __init__(self, type: Any, ptr: int, count: int) -> None:
        self._type, self._ptr, self._size = type, ptr, count

    @property
    def dtype(self) -> Any:
        return self._type

    @property
    def size(self) -> int:
        return self._size

    def _read(self) -> Any:
        return _at(self._ptr, (self._size,), _NUMPY[self._type.name]).copy()


class ICudaEngine(Part):
    """A UNet whose answer is its latents, times the sum of the weights that are open."""

    def __init__(self, plan: Any) -> None:
        self._weights = {name: np.float16(value) for name, value in json.loads(bytes(plan)).items()}
        self._contexts: list[IExecutionContext] = []

    @property
    def num_io_tensors(self) -> int:
        return 4

    def get_tensor_name(self, index: int) -> str:
        return ("latents", "timestep", "encoder_hidden_states", "noise_pred")[index]

    def get_tensor_mode(self, name: str) -> Any:
        return self._trt.TensorIOMode.OUTPUT if name == "noise_pred" else self._trt.TensorIOMode.INPUT

    def get_tensor_dtype(self, name: str) -> Any:
        return self._trt.float32

    def create_execution_context(self, strategy: Any) -> IExecutionContext:
        assert strategy is self._trt.ExecutionContextAllocationStrategy.USER_MANAGED
        context: IExecutionContext = self._trt.IExecutionContext()
        context._engine = self
        self._contexts.append(context)
        return context


class IExecutionContext(Part):
    _memory_bytes: ClassVar[int] = 1024
    _capturing: ClassVar[list[IExecutionContext] | None] = None

    def __init__(self) -> None:
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}
        self._profile = -1
        self._memory = 0
        self._runs = 0

    @property
    def active_optimization_profile(self) -> int:
        return self._profile

    @property
    def device_memory(self) -> int:
        return self._memory

    @device_memory.setter
    def device_memory(self, value: int) -> None:
        self._memory = value

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        self._profile = profile_index
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        self._shapes[name] = shape
        return True

    def infer_shapes(self) -> list[str]:
        return []

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._shapes["latents" if name == "noise_pred" else name]

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def update_device_memory_size_for_shapes(self) -> int:
        return self._memory_bytes

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert self._memory
        if IExecutionContext._capturing is not None:
            IExecutionContext._capturing.append(self)
        else:
            self._compute()
        return True

    def _compute(self) -> None:
        self._runs += 1
        shape = self._shapes["latents"]
        latents, output = (_at(self._addresses[name], shape, np.float32) for name in ("latents", "noise_pred"))
        output[...] = latents * np.float32(
            sum(array.astype(np.float64).sum() for array in self._engine._weights.values())
        )


class Runtime(Part):
    def __init__(self, logger: Any) -> None:
        pass

    def deserialize_cuda_engine(self, serialized_engine: Any) -> ICudaEngine:
        engine: ICudaEngine = self._trt.ICudaEngine(serialized_engine)
        return engine


class Refitter(Part):
    """Wants the weights `_together` with each other, as if they were merged; fails as often as `_failures` says."""

    _together: ClassVar[frozenset[str]] = frozenset()
    _failures: ClassVar[list[str]] = []

    def __init__(self, engine: ICudaEngine, logger: Any) -> None:
        self._engine = engine
        self._given: dict[str, Weights] = {}

    def get_all_weights(self) -> list[str]:
        return list(self._engine._weights)

    def get_weights_prototype(self, weights_name: str) -> Weights:
        size = self._engine._weights[weights_name].size
        weights: Weights = self._trt.Weights(self._trt.float16, 0, size)
        return weights

    def set_named_weights(self, name: str, weights: Weights, location: Any) -> bool:
        assert location is self._trt.TensorLocation.DEVICE and weights.dtype is self._trt.float16
        self._given[name] = weights
        return True

    def unset_named_weights(self, weights_name: str) -> bool:
        return self._given.pop(weights_name, None) is not None

    def get_missing_weights(self) -> list[str]:
        given = self._given.keys()
        return sorted(self._together - given) if self._together & given else []

    def refit_cuda_engine_async(self, stream_handle: int) -> bool:
        for number, (name, weights) in enumerate(self._given.items()):
            if number == 1 and self._failures:  # the first is in already
                self._failures.pop()
                return False
            self._engine._weights[name] = weights._read()
        return True


def _at(address: int, shape: tuple[int, ...], dtype: type[np.generic]) -> Any:
    size_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_char * size_bytes).from_address(address), dtype).reshape(shape)


PARTS: tuple[type[Part], ...] = (
    Weights,
    ICudaEngine,
    IExecutionContext,
    Runtime,
    Refitter,
)

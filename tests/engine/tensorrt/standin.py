"""Stands in for TensorRT's package: it computes on a CPU, and knows no name that the real bindings lack.

`names_*.json` are read from the bindings themselves (tools/tensorrt_names.py). What is written here is checked against
them, and so is every attribute that the package sets; enums are made from them.
"""

from __future__ import annotations

import contextlib
import ctypes
import enum
import inspect
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch

VERSIONS = ("10.13", "11.4")
_NUMPY = {"FLOAT": np.float32, "HALF": np.float16, "INT64": np.int64}
_SHORT = {"float32": "FLOAT", "float16": "HALF", "bfloat16": "BF16", "int64": "INT64"}


class Part:
    """One of the real classes, in so far as tests need it; names that begin with _ are the stand-in's own."""

    _real: ClassVar[Mapping[str, Any]]
    _trt: ClassVar[Any]

    def __setattr__(self, name: str, value: object) -> None:
        if not name.startswith("_") and self._real["properties"].get(name) != "settable":
            raise AttributeError(f"{type(self).__name__} has no {name} that can be set")
        super().__setattr__(name, value)


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


class IHostMemory(Part):
    def __init__(self, content: bytes) -> None:
        self._content = content

    def __bytes__(self) -> bytes:
        return self._content


class IOptimizationProfile(Part):
    def __init__(self) -> None:
        self._shapes: dict[str, tuple[tuple[int, ...], ...]] = {}

    def set_shape(self, input: str, min: tuple[int, ...], opt: tuple[int, ...], max: tuple[int, ...]) -> None:
        self._shapes[input] = (min, opt, max)


class ITimingCache(Part):
    def __init__(self, content: bytes) -> None:
        self._content = content

    def serialize(self) -> bytes:
        return self._content + b"timed "


class IBuilderConfig(Part):
    def __init__(self) -> None:
        self._flags, self._features = {self._trt.BuilderFlag.TF32}, set()
        self._profiles: list[IOptimizationProfile] = []
        self._monitor: Any = None

    @property
    def progress_monitor(self) -> Any:
        return self._monitor

    @progress_monitor.setter
    def progress_monitor(self, value: Any) -> None:
        self._monitor = value

    def set_flag(self, flag: Any) -> None:
        self._flags.add(self._trt.BuilderFlag(flag))

    def clear_flag(self, flag: Any) -> None:
        self._flags.discard(self._trt.BuilderFlag(flag))

    def set_preview_feature(self, feature: Any, enable: bool) -> None:
        self._features.add(self._trt.PreviewFeature(feature))

    def add_optimization_profile(self, profile: IOptimizationProfile) -> int:
        self._profiles.append(profile)
        return len(self._profiles) - 1

    def create_timing_cache(self, serialized_timing_cache: bytes) -> ITimingCache:
        timings: ITimingCache = self._trt.ITimingCache(serialized_timing_cache)
        return timings

    def set_timing_cache(self, cache: ITimingCache, ignore_mismatch: bool) -> bool:
        assert not ignore_mismatch
        self._timings = cache
        return True

    def get_timing_cache(self) -> ITimingCache:
        return self._timings


class INetworkDefinition(Part):
    def __init__(self, names: set[str]) -> None:
        self._names, self._open = names, set()

    def mark_weights_refittable(self, name: str) -> bool:
        self._open.add(name)
        return name in self._names


class OnnxParser(Part):
    def __init__(self, network: INetworkDefinition, logger: Any) -> None:
        self._network = network

    def parse_from_file(self, model: str) -> bool:
        self._network._names.update(Path(model).read_text().split())
        return True


class IProgressMonitor(Part):
    def __init__(self) -> None:
        pass


class Builder(Part):
    """Remembers in `_built` what it was told of each build."""

    _built: ClassVar[list[tuple[INetworkDefinition, IBuilderConfig]]] = []

    def __init__(self, logger: Any) -> None:
        pass

    def create_network(self, flags: int) -> INetworkDefinition:
        assert flags == 1 << int(self._trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        network: INetworkDefinition = self._trt.INetworkDefinition(set())
        return network

    def create_builder_config(self) -> IBuilderConfig:
        config: IBuilderConfig = self._trt.IBuilderConfig()
        return config

    def create_optimization_profile(self) -> IOptimizationProfile:
        profile: IOptimizationProfile = self._trt.IOptimizationProfile()
        return profile

    def build_serialized_network(self, network: INetworkDefinition, config: IBuilderConfig) -> IHostMemory:
        self._built.append((network, config))
        memory: IHostMemory = self._trt.IHostMemory(b"a plan")
        return memory


PARTS = (
    Builder,
    IBuilderConfig,
    ICudaEngine,
    IExecutionContext,
    IHostMemory,
    INetworkDefinition,
    IOptimizationProfile,
    IProgressMonitor,
    ITimingCache,
    OnnxParser,
    Refitter,
    Runtime,
    Weights,
)


def real_names(version: str) -> dict[str, Any]:
    names: dict[str, Any] = json.loads((Path(__file__).parent / f"names_{version.replace('.', '_')}.json").read_text())
    return names


def stand_in(version: str) -> Any:
    """The package; each has classes of its own, so that what a test sets there is forgotten with it."""
    names = real_names(version)
    trt = SimpleNamespace(__version__=f"{version}.0")
    for name, members in names["enums"].items():
        setattr(trt, name, enum.IntEnum(name, members, start=0))
    for short, member in _SHORT.items():
        setattr(trt, short, trt.DataType[member])
    for part in PARTS:
        _check(part, names["classes"][part.__name__])
        own = {"_real": names["classes"][part.__name__], "_trt": trt}
        own |= {name: type(value)(value) for name, value in vars(part).items() if isinstance(value, (list, frozenset))}
        setattr(trt, part.__name__, type(part.__name__, (part,), own))
    return trt


def _check(part: type[Part], real: Mapping[str, Any]) -> None:
    """Every public name is a real one, and every method's arguments are those of a real overload."""
    for name, member in vars(part).items():
        if name.startswith("_"):
            continue
        if isinstance(member, property):
            assert name in real["properties"], f"{part.__name__}.{name}"
        else:
            arguments = [argument for argument in inspect.signature(member).parameters if argument != "self"]
            overloads = [[a.rstrip("=") for a in o.split(", ") if a] for o in real["methods"][name].split(" | ")]
            assert arguments in overloads, f"{part.__name__}.{name}{arguments} is none of {overloads}"


def _at(address: int, shape: tuple[int, ...], dtype: type[np.generic]) -> Any:
    size_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_char * size_bytes).from_address(address), dtype).reshape(shape)


class Captured:
    """A CUDA graph: what ran while it was captured runs again at every replay."""

    made: ClassVar[list[Captured]] = []

    def __init__(self) -> None:
        self.contexts: list[IExecutionContext] = []
        self.replays = 0
        self.made.append(self)

    def replay(self) -> None:
        self.replays += 1
        for context in self.contexts:
            context._compute()


@contextlib.contextmanager
def _capture(graph: Captured, **_options: Any) -> Iterator[None]:
    IExecutionContext._capturing = graph.contexts
    try:
        yield
    finally:
        IExecutionContext._capturing = None


def patch_torch(patch: pytest.MonkeyPatch) -> None:
    """torch.cuda on a machine without it: one stream, on which all is done at once."""
    stream = SimpleNamespace(cuda_stream=7, synchronize=lambda: None)
    patch.setattr(torch.cuda, "Stream", lambda _device: stream)
    patch.setattr(torch.cuda, "device", lambda _device: contextlib.nullcontext())
    patch.setattr(torch.cuda, "stream", lambda _stream: contextlib.nullcontext())
    patch.setattr(torch.cuda, "CUDAGraph", Captured)
    patch.setattr(torch.cuda, "graph", _capture)
    patch.setattr(Captured, "made", [])

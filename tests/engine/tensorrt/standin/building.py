"""The classes of a build, which remember what they were told."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from tests.engine.tensorrt.standin.part import Part


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


PARTS: tuple[type[Part], ...] = (
    IHostMemory,
    IOptimizationProfile,
    ITimingCache,
    IBuilderConfig,
    INetworkDefinition,
    OnnxParser,
    IProgressMonitor,
    Builder,
)

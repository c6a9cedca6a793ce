"""Builds one engine: the graph parsed, the weights that stay open marked, a timing cache kept for the next build."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from triptych.cache_folders import lock, open_like
from triptych.contract.paths import text_from_path
from triptych.engine.cache.artifacts import Progress
from triptych.engine.tensorrt.api import activations_by_shape, tensorrt, trt_logger
from triptych.engine.tensorrt.build.monitor import build_monitor
from triptych.engine.tensorrt.network.profiles import Dims, Profile
from triptych.errors import TriptychError


@dataclass(frozen=True)
class Definition:
    """A network and all that a build of it is told; `parser` owns the weights, and so must outlive the build."""

    builder: Any
    network: Any
    parser: Any
    config: Any


def build_engine(
    graph: Path,
    dims: Mapping[str, Dims],
    profiles: Sequence[Profile],
    open_names: Sequence[str],
    timing_cache: Path,
    progress: Progress,
    stopped: Callable[[], bool] = lambda: False,
) -> Any:
    """The serialized engine, an IHostMemory, of a graph file whose weights lie beside it; the current GPU is used.

    Once `stopped` it ends soon, as a build that failed.
    """
    definition = define(graph, dims, profiles)
    open_weights(definition, open_names)
    monitor = build_monitor(progress, stopped=stopped)  # lives until the build has ended
    definition.config.progress_monitor = monitor
    return serialize(definition, timing_cache)


def define(graph: Path, dims: Mapping[str, Dims], profiles: Sequence[Profile]) -> Definition:
    """The graph parsed, strongly typed and with its profiles; no weight of it is open yet."""
    trt = tensorrt()
    builder = trt.Builder(trt_logger())
    network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
    parser = _parse(network, graph)
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # on by default, and fp32 would have a 10-bit mantissa
    activations_by_shape(config)
    for profile in profiles:
        _add_profile(builder, config, dims, profile)
    return Definition(builder, network, parser, config)


def open_weights(definition: Definition, names: Sequence[str]) -> None:
    """Marks the weights that a refit may exchange; the parser has named them as the checkpoint does.

    One by one, and never by the flag REFIT: that opens the graph's own constants as well, some of which have no name to
    be given again by, and engines made so were reported slower, and to lose biases.
    """
    if not names:
        return
    definition.config.set_flag(tensorrt().BuilderFlag.REFIT_INDIVIDUAL)
    closed = [name for name in names if not definition.network.mark_weights_refittable(name)]
    if closed:
        raise TriptychError(f"TensorRT knows {len(closed)} of {len(names)} weights by no name, such as {closed[:3]}")


def serialize(definition: Definition, timing_cache: Path) -> Any:
    """Builds; what its kernels took to run is kept in that file for the next build."""
    config = definition.config
    with lock(timing_cache.with_suffix(".lock")):
        # An unknown or foreign cache is an empty one; `ignore_mismatch` stays off, for timings of another GPU mislead.
        timings = config.create_timing_cache(timing_cache.read_bytes() if timing_cache.is_file() else b"")
        if not config.set_timing_cache(timings, False):
            timings = config.create_timing_cache(b"")
            config.set_timing_cache(timings, False)
        serialized = definition.builder.build_serialized_network(definition.network, config)
        if serialized is None:
            raise TriptychError("TensorRT could not build an engine; its log says why")
        _replace(timing_cache, config.get_timing_cache().serialize())
    return serialized


def _parse(network: Any, graph: Path) -> Any:
    """Returns the parser, which owns the weights and so must outlive the build."""
    parser = tensorrt().OnnxParser(network, trt_logger())
    if not parser.parse_from_file(text_from_path(graph)):
        problems = "; ".join(str(parser.get_error(index)) for index in range(min(3, parser.num_errors)))
        raise TriptychError(f"TensorRT cannot read the graph: {problems}")
    return parser


def _add_profile(builder: Any, config: Any, dims: Mapping[str, Dims], profile: Profile) -> None:
    shapes = builder.create_optimization_profile()
    for name, dim in dims.items():
        shapes.set_shape(name, profile.shape(dim, "least"), profile.shape(dim, "best"), profile.shape(dim, "most"))
    if config.add_optimization_profile(shapes) < 0:
        raise TriptychError(f"TensorRT refused the profile {profile}")


def _replace(path: Path, content: Any) -> None:
    partial = path.with_suffix(".partial")
    partial.write_bytes(memoryview(content))
    open_like(path.parent, partial)
    partial.replace(path)

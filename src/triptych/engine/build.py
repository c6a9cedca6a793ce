"""Makes the artifacts of checkpoints ahead of time, which is what `triptych build` does.

for component in Checkpoint.open(path).components.values():
    print(build_artifact(component, "onnxruntime", settings).path)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from time import perf_counter

from triptych.checkpoint import Component
from triptych.checkpoint.reading import open_in_time
from triptych.engine.cache.artifacts import Progress, ensure_graph, is_shipped
from triptych.engine.port import EngineSettings
from triptych.engine.rewriting.variant import PLAIN, Variant
from triptych.errors import TriptychError, invalid


class Origin(StrEnum):
    """How an artifact came to be where it is."""

    BUILT = "built"
    CACHED = "cached"
    SHIPPED = "shipped"


@dataclass(frozen=True)
class Artifact:
    """What an engine loads for one model; `seconds` is what making it took, or waiting for another who made it."""

    key: str
    path: Path
    size_bytes: int
    seconds: float
    origin: Origin


def open_models(path: Path, variant: str = "", image_encoder: Path | None = None) -> Sequence[Component]:
    """A checkpoint's models, checked whole; CheckpointInvalidError names what is wrong."""
    checkpoint = open_in_time(path, variant, image_encoder=image_encoder)
    if checkpoint.family.prepares:
        raise invalid("path", f"{path} is {checkpoint.family.title}, which is its own graph: nothing is built of it")
    return list(checkpoint.components.values())


def graphs_of(component: Component, asked: Sequence[Variant]) -> list[Variant]:
    """The plain one, and of those that are asked for what such a model has."""
    return [PLAIN, *(variant for variant in dict.fromkeys(asked) if variant.fits(component.architecture.model))]


def check_buildable(engine: str, settings: EngineSettings) -> None:
    """FailedPreconditionError, or ModuleNotFoundError, where this machine lacks what building for the engine needs."""
    if engine == "tensorrt":
        from triptych.engine.tensorrt.build.making import cuda_device

        cuda_device(settings)


def build_artifact(
    component: Component,
    engine: str,
    settings: EngineSettings,
    progress: Progress = lambda _message: None,
    variant: Variant = PLAIN,
) -> Artifact:
    """What the engine needs for the model, made where the cache lacks it; `progress` is told when that begins.

    Of another `variant` of the graph TensorRT alone has something built.
    """
    start = perf_counter()
    settings = settings.suiting(component)
    made = []

    def making(message: str) -> None:
        made.append(message)
        progress(message)

    if engine == "tensorrt":
        ensure_graph(component.architecture, settings.cache_dir, progress, component)
        path = _tensorrt_engine(component, settings, making, variant)
    else:
        path = ensure_graph(component.architecture, settings.cache_dir, making, component)
    origin = Origin.BUILT if made else Origin.SHIPPED if is_shipped(path) else Origin.CACHED
    return Artifact(path.parent.name, path, path.stat().st_size, perf_counter() - start, origin)


def _tensorrt_engine(component: Component, settings: EngineSettings, progress: Progress, variant: Variant) -> Path:
    from triptych.engine.tensorrt.build.cache import PLAN_FILE
    from triptych.engine.tensorrt.build.making import Making
    from triptych.engine.tensorrt.choice import PlainChoice

    try:
        making = Making(component, settings, progress)
        if variant != PLAIN:
            return making.varied(variant).ensure() / PLAN_FILE
        folder = making.ensure()
        plain = PlainChoice(making, making.plan)
        if not plain.is_settled:
            plain.session(making.session())
        return folder / PLAN_FILE
    except RuntimeError as error:  # CUDA's, by way of torch: out of memory, say
        raise TriptychError(f"building a TensorRT engine failed: {error}") from error

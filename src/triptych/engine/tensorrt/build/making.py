"""Brings a component's engine into the cache, for whoever loads it next or just builds ahead.

making = Making(component, settings)
folder = making.ensure()                      # minutes, where the cache lacks it
plain = making.session(RefitPlan.PLAIN)       # the same graph with no weight open
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from copy import copy
from functools import partial
from pathlib import Path
from time import sleep
from typing import Any

import torch

from triptych.cache_folders import read_manifest
from triptych.checkpoint import Component
from triptych.contract import UNET
from triptych.engine.cache.artifacts import Progress
from triptych.engine.port import Engine, EngineSettings
from triptych.engine.rewriting.variant import Variant
from triptych.engine.tensorrt.api import tensorrt
from triptych.engine.tensorrt.build.builder import build_engine
from triptych.engine.tensorrt.build.cache import (
    ENGINES,
    PLAN_FILE,
    checked_mark,
    ensure_engine,
    is_sound,
    measured_steps,
)
from triptych.engine.tensorrt.build.keys import Build, Gpu, build_of, weights_digest
from triptych.engine.tensorrt.build.plan import RefitPlan, choose_plan
from triptych.engine.tensorrt.network.external import write_model
from triptych.engine.tensorrt.network.typed import TypedGraph
from triptych.engine.tensorrt.plain import plain_setting
from triptych.engine.tensorrt.probe import Infer, check_outputs
from triptych.engine.tensorrt.run.device_weights import DeviceWeights
from triptych.engine.tensorrt.run.padding import padded_batches, read_batch_seconds
from triptych.engine.tensorrt.run.session import Session
from triptych.engine.torch.engine import torch_device
from triptych.errors import FailedPreconditionError, invalid

_NOBODY_ELSE: AbstractContextManager[object] = nullcontext()
# Lets a request that waits for the engine in between two sizes that are measured.
_BREATH_S = 0.001


class Making:
    """One component's graph on this GPU, the plan that was chosen for it, and the engines of all plans in the cache.

    `quiet` is held while a step is timed; builds end early once `stopped`.
    """

    def __init__(
        self,
        component: Component,
        settings: EngineSettings,
        progress: Progress = lambda _message: None,
        quiet: AbstractContextManager[object] = _NOBODY_ELSE,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self.device = cuda_device(settings)
        self.graph = TypedGraph.of(component, settings)
        self.root = settings.cache_dir / ENGINES
        self.quiet, self.plain_setting = quiet, plain_setting()
        self._settings, self._progress, self._stopped = settings, progress, stopped
        self.gpu = _gpu(self.device)
        self.waiting = DeviceWeights(self.device)  # whichever of the engines they come to
        self._weights_digest = weights_digest(component)
        self.subject = self.build(RefitPlan.PER_ARCHITECTURE).subject()
        self.plan = choose_plan(self.graph.first_plan, measured_steps(self.root, self.subject))

    def varied(self, variant: Variant) -> Making:
        """The same for another graph over the same weights, those of the load."""
        other = copy(self)
        other.graph = TypedGraph.of(self.graph.component, self._settings, variant, self.graph.maps)
        other.subject = other.build(RefitPlan.PER_ARCHITECTURE).subject()
        return other

    def build(self, plan: RefitPlan) -> Build:
        """What an engine of that plan depends on."""
        graph = self.graph
        return build_of(graph.component, graph.content, graph.profiles, graph.precision, plan, self.gpu)

    def is_built(self, plan: RefitPlan) -> bool:
        """Whether the cache has it."""
        return is_sound(self.root / self.build(plan).key())

    def ensure(self, plan: RefitPlan | None = None) -> Path:
        """The folder in the cache with the engine of that plan, or the chosen one; built and checked if need be.

        FailedPreconditionError where the weights' files are others than at first: it would be another checkpoint's.
        """
        if weights_digest(self.graph.component) != self._weights_digest:
            place = self.graph.component.place
            raise FailedPreconditionError(f"{place}: the weights were replaced since they were loaded")
        build = self.build(plan or self.plan)
        with torch.cuda.device(self.device):
            return ensure_engine(self.root, build, lambda folder: self._make(build, folder))

    def session(self, plan: RefitPlan | None = None) -> Session:
        """The same engine, made ready to run."""
        folder = self.ensure(plan)
        padded = padded_batches(read_batch_seconds(read_manifest(folder)))
        content = (folder / PLAN_FILE).read_bytes()
        return Session(content, self.graph.dims, self.graph.profiles, self.device, padded)

    def size_bytes(self, plan: RefitPlan) -> int:
        """Of the engine in the cache, and of its weights on the GPU: there is little else in it."""
        return (self.root / self.build(plan).key() / PLAN_FILE).stat().st_size if self.is_built(plan) else 0

    def reference(self) -> Engine:
        """The component on the CPU in float32."""
        from triptych.engine import load_engine

        settings = EngineSettings(self._settings.threads, self._settings.cache_dir)
        return load_engine("onnxruntime", self.graph.component, settings)

    def expected(self) -> Infer:
        """What the reference makes of a batch in this graph."""
        reference, axes = self.reference(), self.graph.variant.axes
        return partial(reference.infer_wrapped, axes=axes) if axes else reference.infer

    def check_once(self, probe: Callable[[Infer, str], float]) -> None:
        """Compares an engine of the whole architecture with this checkpoint's reference, the first time it meets it."""
        key = self.build(RefitPlan.PER_ARCHITECTURE).key()
        checked = checked_mark(self.root, key, weights_digest(self.graph.component))
        if not checked.exists():
            probe(self.expected(), "the engine refitted to this checkpoint")
            with suppress(OSError):  # a cache that is read-only; it is checked again next time
                checked.touch()

    def _make(self, build: Build, folder: Path) -> dict[str, Any]:
        """Builds the engine into the folder and checks it; nothing that fails the check gets into the cache."""

        def told_of(step: str) -> None:
            self._progress(f"{build.key()}: {step}")

        graph = self.graph
        self._progress(f"building a TensorRT engine, which takes minutes ({build.key()})")
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            path = write_model(graph.model, graph.component, Path(scratch))
            timing_cache = self.root / f"timing-{build.gpu.digest()}.cache"
            names = graph.open_names(build.plan)
            serialized = build_engine(path, graph.dims, graph.profiles, names, timing_cache, told_of, self._stopped)
        (folder / PLAN_FILE).write_bytes(memoryview(serialized))
        told_of("comparing it with the reference")
        session = Session(memoryview(serialized), graph.dims, graph.profiles, self.device)
        samples, what = graph.samples(), "the engine just built"
        error = check_outputs(session.run_with, self.expected(), samples, graph.precision, what)
        with self.quiet:
            step_seconds = session.step_seconds(graph.best_sample())
        variant = {"variant": graph.variant.label} if graph.variant.label else {}
        measured = {"step_seconds": step_seconds, "batch_seconds": self._batch_seconds(session, told_of)}
        return {"error": error, **measured, **variant}

    def _batch_seconds(self, session: Session, told_of: Progress) -> dict[int, float]:
        """What a step takes with each batch; of the UNet alone, for only its batches are made of several requests."""
        measured: dict[int, float] = {}
        if self.graph.component.architecture.model != UNET.name:
            return measured
        told_of("measuring batches")
        for batch, inputs in self.graph.own_samples():
            try:
                with self.quiet:
                    measured[batch] = session.step_seconds(inputs)
            except torch.OutOfMemoryError:
                break
            sleep(_BREATH_S)
        return measured


def cuda_device(settings: EngineSettings) -> torch.device:
    """The GPU; FailedPreconditionError without TensorRT or that GPU, InvalidArgumentError for a CPU."""
    tensorrt()
    device = torch_device(settings.device)
    if device.type != "cuda":
        raise invalid("device", "the tensorrt engine runs on a GPU: name one as cuda:<index>")
    return device


def _gpu(device: torch.device) -> Gpu:
    properties = torch.cuda.get_device_properties(device)
    return Gpu(properties.name, (properties.major, properties.minor), tensorrt().__version__)

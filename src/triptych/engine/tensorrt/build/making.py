"""Brings a component's engine into the cache, for whoever loads it next or just builds ahead.

making = Making(component, settings)
folder = making.ensure()        # minutes, where the cache lacks it
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from triptych.checkpoint import Component
from triptych.contract import UNET
from triptych.engine.cache.artifacts import Progress
from triptych.engine.cache.folders import read_manifest
from triptych.engine.port import Engine, EngineSettings
from triptych.engine.tensorrt.api import tensorrt
from triptych.engine.tensorrt.build.builder import build_engine
from triptych.engine.tensorrt.build.cache import ENGINES, PLAN_FILE, checked_mark, ensure_engine, measured_steps
from triptych.engine.tensorrt.build.keys import Build, Gpu, build_of, weights_digest
from triptych.engine.tensorrt.build.plan import RefitPlan, choose_plan
from triptych.engine.tensorrt.network.external import write_model
from triptych.engine.tensorrt.network.typed import TypedGraph
from triptych.engine.tensorrt.probe import check_outputs
from triptych.engine.tensorrt.run.padding import padded_batches, read_batch_seconds
from triptych.engine.tensorrt.run.session import Session
from triptych.engine.torch_engine import torch_device
from triptych.errors import invalid


class Making:
    """One component's graph and the build that was chosen for it on this GPU."""

    def __init__(
        self, component: Component, settings: EngineSettings, progress: Progress = lambda _message: None
    ) -> None:
        self.device = cuda_device(settings)
        self.graph = TypedGraph.of(component, settings)
        self._settings, self._progress = settings, progress
        self._root = settings.cache_dir / ENGINES
        self.build = _choose_build(self.graph, self._root, _gpu(self.device))

    def ensure(self) -> Path:
        """The folder in the cache that holds the engine, built and checked first if this GPU has none of it."""
        with torch.cuda.device(self.device):
            return ensure_engine(self._root, self.build, self._make)

    def session(self, folder: Path) -> Session:
        """The engine in a folder of the cache, made ready to run."""
        padded = padded_batches(read_batch_seconds(read_manifest(folder)))
        plan = (folder / PLAN_FILE).read_bytes()
        return Session(plan, self.graph.dims, self.graph.profiles, self.device, padded)

    def reference(self) -> Engine:
        """The component on the CPU in float32."""
        from triptych.engine import load_engine

        settings = EngineSettings(self._settings.threads, self._settings.cache_dir)
        return load_engine("onnxruntime", self.graph.component, settings)

    def check_once(self, probe: Callable[[Engine, str], float]) -> None:
        """Compares an engine of the whole architecture with this checkpoint's reference, the first time it meets it."""
        checked = checked_mark(self._root, self.build.key(), weights_digest(self.graph.component))
        if not checked.exists():
            probe(self.reference(), "the engine refitted to this checkpoint")
            with suppress(OSError):  # a cache that is read-only; it is checked again next time
                checked.touch()

    def _told_of(self, step: str) -> None:
        self._progress(f"{self.build.key()}: {step}")

    def _make(self, folder: Path) -> dict[str, Any]:
        """Builds the engine into the folder and checks it; nothing that fails the check gets into the cache."""
        graph, build = self.graph, self.build
        self._progress(f"building a TensorRT engine, which takes minutes ({build.key()})")
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            path = write_model(graph.model, graph.component, Path(scratch))
            timing_cache = self._root / f"timing-{build.gpu.digest()}.cache"
            open_names = graph.open_names(build.plan)
            serialized = build_engine(path, graph.dims, graph.profiles, open_names, timing_cache, self._told_of)
        (folder / PLAN_FILE).write_bytes(memoryview(serialized))
        self._told_of("comparing it with the reference")
        session = Session(memoryview(serialized), graph.dims, graph.profiles, self.device)
        samples, reference = graph.samples(), self.reference()
        error = check_outputs(session.run_with, reference.infer, samples, graph.precision, "the engine just built")
        step_seconds = session.step_seconds(graph.best_sample())
        return {"step_seconds": step_seconds, "error": error, "batch_seconds": self._batch_seconds(session)}

    def _batch_seconds(self, session: Session) -> dict[int, float]:
        """What a step takes with each batch; of the UNet alone, for only its batches are made of several requests."""
        measured: dict[int, float] = {}
        if self.build.model != UNET.name:
            return measured
        self._told_of("measuring batches")
        for batch, inputs in self.graph.own_samples():
            try:
                measured[batch] = session.step_seconds(inputs)
            except torch.OutOfMemoryError:
                break
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


def _choose_build(graph: TypedGraph, root: Path, gpu: Gpu) -> Build:
    def build(plan: RefitPlan) -> Build:
        return build_of(graph.component, graph.content, graph.profiles, graph.precision, plan, gpu)

    shared = build(RefitPlan.PER_ARCHITECTURE)
    plan = choose_plan(measured_steps(root, shared.subject()))
    return shared if plan is shared.plan else build(plan)

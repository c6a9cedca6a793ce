"""The TensorRT engine: a component's graph typed, built once for this GPU, run, refitted and checked."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from triptych.checkpoint import Component
from triptych.engine.port import Array, Engine, EngineSettings, Weights
from triptych.engine.tensorrt.api import tensorrt
from triptych.engine.tensorrt.builder import build_engine
from triptych.engine.tensorrt.cache import PLAN_FILE, ensure_engine, measured_steps
from triptych.engine.tensorrt.external import write_model
from triptych.engine.tensorrt.keys import Build, Gpu, build_of, weights_digest
from triptych.engine.tensorrt.plan import RefitPlan, choose_plan
from triptych.engine.tensorrt.probe import check_outputs
from triptych.engine.tensorrt.refitter import WeightsRefitter
from triptych.engine.tensorrt.session import Session
from triptych.engine.tensorrt.typed import TypedGraph
from triptych.engine.torch_engine import torch_device
from triptych.engine.weights import check_refit
from triptych.errors import FailedPreconditionError, invalid

DEBUG = "TRIPTYCH_ENGINE_DEBUG"


class TensorRtEngine(Engine):
    """A session and a refitter; with TRIPTYCH_ENGINE_DEBUG=1 also a reference that every refit is compared with."""

    def __init__(self, graph: TypedGraph, session: Session, plan: RefitPlan, reference: Engine | None) -> None:
        self._graph, self._session, self._reference = graph, session, reference
        self._open = graph.targets if plan is RefitPlan.PER_CHECKPOINT else sorted(graph.parameters)
        self._refitter = WeightsRefitter(session, graph.component, self._open) if self._open else None
        self._usable = True

    @classmethod
    def load(cls, component: Component, settings: EngineSettings) -> TensorRtEngine:
        """Takes the engine from the cache, building it first (minutes) if this GPU has none of it."""
        trt = tensorrt()
        device = torch_device(settings.device)
        if device.type != "cuda":
            raise invalid("device", "the tensorrt engine runs on a GPU: name one as cuda:<index>")
        graph = TypedGraph.of(component, settings)
        properties = torch.cuda.get_device_properties(device)
        gpu = Gpu(properties.name, (properties.major, properties.minor), trt.__version__)
        root = settings.cache_dir / "tensorrt"
        build = _choose_build(graph, root, gpu)
        loading = _Loading(graph, settings, device, root, build)
        with torch.cuda.device(device):
            folder = ensure_engine(root, build, loading.make)
            session = loading.session((folder / PLAN_FILE).read_bytes())
            engine = cls(graph, session, build.plan, loading.reference() if os.environ.get(DEBUG) == "1" else None)
            engine.take_all_weights()
            if build.plan is RefitPlan.PER_ARCHITECTURE:
                loading.check_once(engine)
        return engine

    def infer(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Runs one batch."""
        if not self._usable:
            raise FailedPreconditionError("a refit of this engine failed halfway: load the model again")
        return self._session.run(inputs)

    def refit(self, weights: Weights) -> None:
        """Exchanges weights in place; takes no other work meanwhile, and afterwards captures its CUDA graphs anew."""
        check_refit(weights, {name: self._graph.parameters[name] for name in self._graph.targets})
        self._exchange(weights)
        if self._reference is not None:
            self._reference.refit(weights)
            self.probe(self._reference, "the engine after a refit")

    def take_all_weights(self) -> None:
        """Brings every open weight from the files, so that the state refits go back to is one that a refit made.

        For an engine of the whole architecture this is what makes it this checkpoint.
        """
        self._exchange(dict.fromkeys(self._open))

    def _exchange(self, weights: Weights) -> None:
        if self._refitter is None:
            return
        self._usable = False  # TensorRT may stop halfway
        self._refitter.refit(weights)
        self._usable = True

    def probe(self, reference: Engine, what: str) -> float:
        """The error against a reference that holds the same weights; FailedPreconditionError if it is too large."""
        return check_outputs(self._session.run, reference.infer, self._graph.samples(), self._graph.precision, what)


class _Loading:
    """What a load of one component needs in several places."""

    def __init__(
        self, graph: TypedGraph, settings: EngineSettings, device: torch.device, root: Path, build: Build
    ) -> None:
        self._graph, self._settings, self._device = graph, settings, device
        self._root, self._build = root, build

    def session(self, plan: Any) -> Session:
        return Session(plan, self._graph.dims, self._graph.profiles, self._device)

    def reference(self) -> Engine:
        """The component on the CPU in float32."""
        from triptych.engine import load_engine

        return load_engine(
            "onnxruntime", self._graph.component, EngineSettings(self._settings.threads, self._settings.cache_dir)
        )

    def make(self, folder: Path) -> dict[str, Any]:
        """Builds the engine into the folder and checks it; nothing that fails the check gets into the cache."""
        graph, build = self._graph, self._build
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            path = write_model(graph.model, graph.component, Path(scratch))
            timing_cache = self._root / f"timing-{build.gpu.digest()}.cache"
            serialized = build_engine(path, graph.dims, graph.profiles, build.plan, graph.targets, timing_cache)
        (folder / PLAN_FILE).write_bytes(memoryview(serialized))
        session = self.session(memoryview(serialized))
        samples, reference = graph.samples(), self.reference()
        error = check_outputs(session.run, reference.infer, samples, graph.precision, "the engine just built")
        seconds = session.step_seconds(graph.best_sample())
        return {"step_seconds": seconds, "error": error, "gpu": build.gpu.name, "tensorrt": build.gpu.tensorrt_version}

    def check_once(self, engine: TensorRtEngine) -> None:
        """Compares an engine of the whole architecture with this checkpoint's reference, the first time it meets it."""
        checked = self._root / f"{self._build.key()}-{weights_digest(self._graph.component)}.checked"
        if not checked.exists():
            engine.probe(self.reference(), "the engine refitted to this checkpoint")
            checked.touch()


def _choose_build(graph: TypedGraph, root: Path, gpu: Gpu) -> Build:
    def build(plan: RefitPlan) -> Build:
        return build_of(graph.component, graph.content, graph.profiles, graph.precision, plan, gpu)

    shared = build(RefitPlan.PER_ARCHITECTURE)
    plan = choose_plan(measured_steps(root, shared.subject()))
    return shared if plan is shared.plan else build(plan)

"""The TensorRT engine: what `making` brought into the cache, run, refitted and checked; `beside` makes more of them."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterable, Mapping
from hashlib import sha256

import torch

from triptych.checkpoint import Component
from triptych.engine.kept import Kept
from triptych.engine.port import Array, Engine, EngineSettings, Weights
from triptych.engine.rewriting.variant import PLAIN, Variant
from triptych.engine.tensorrt.beside import Beside
from triptych.engine.tensorrt.build.keys import Gpu
from triptych.engine.tensorrt.build.making import Making
from triptych.engine.tensorrt.build.plan import RefitPlan
from triptych.engine.tensorrt.network.typed import TypedGraph
from triptych.engine.tensorrt.pair import Pair
from triptych.engine.tensorrt.probe import Infer, check_outputs
from triptych.engine.tensorrt.refittable import Refittable
from triptych.engine.weights import check_refit
from triptych.errors import invalid

DEBUG = "TRIPTYCH_ENGINE_DEBUG"
# Lines with it are shown by `triptych up` while it starts.
PROGRESS = {"progress": True}

logger = logging.getLogger("triptych.engine")


class TensorRtEngine(Engine):
    """One or two engines, and one for each other graph that was asked for.

    With TRIPTYCH_ENGINE_DEBUG=1 also a reference that every refit is compared with.
    """

    def __init__(self, graph: TypedGraph, pair: Pair, beside: Beside, reference: Engine | None, gpu: Gpu) -> None:
        self._graph, self._pair, self._beside, self._reference, self._gpu = graph, pair, beside, reference, gpu

    @classmethod
    def load(cls, component: Component, settings: EngineSettings) -> TensorRtEngine:
        """Takes the engine from the cache, building it first (minutes) if this GPU has none of it."""
        lock, stop = threading.Lock(), threading.Event()
        making = Making(
            component, settings, lambda message: logger.info(message, extra=PROGRESS), lock, stopped=stop.is_set
        )
        with torch.cuda.device(making.device):
            pair = Pair(Refittable(making.graph, making.session(), making.plan, making.waiting), lock)
            beside = Beside(making, pair, stop)
            reference = making.reference() if os.environ.get(DEBUG) == "1" else None
            engine = cls(making.graph, pair, beside, reference, making.gpu)
            if making.plan is RefitPlan.PER_ARCHITECTURE:
                making.check_once(engine.probe)
        beside.choose_plain()
        return engine

    def infer(self, inputs: Mapping[str, Kept]) -> dict[str, Array]:
        """Runs one batch, in parts where the GPU's memory is too small for it whole."""
        return self._infer(inputs, Variant.of(inputs))

    def infer_wrapped(self, inputs: Mapping[str, Kept], axes: str) -> dict[str, Array]:
        """As `infer`, on an engine of its own; FailedPreconditionError while that is being built."""
        return self._infer(inputs, Variant.of(inputs, axes))

    def infer_kept(self, inputs: Mapping[str, Kept], axes: str = "") -> dict[str, Kept]:
        """As `infer` or `infer_wrapped`, but what comes out are tensors on the GPU."""
        return self._infer(inputs, Variant.of(inputs, axes), kept=True)

    def _infer(self, inputs: Mapping[str, Kept], variant: Variant, *, kept: bool = False) -> dict[str, Kept]:
        if variant == PLAIN:
            return self._pair.run(inputs, kept=kept)
        return self._beside.variants.run(inputs, variant, kept=kept)

    def require_wrapped(self, axes: str) -> None:
        """FailedPreconditionError while its engine is being built, or where that failed."""
        self._beside.variants.require(Variant(axes))

    def prepare_residuals(self, axes: str = "") -> None:
        """Waits for an engine that takes them, minutes where the cache has none of it."""
        self._beside.variants.prepare(Variant(axes, is_controlled=True))

    def prepare_image_prompt(self, count: int = 1, axes: str = "") -> None:
        """Waits for an engine that takes it, minutes where the cache has none of it."""
        self._beside.variants.prepare(Variant(axes, prompts=count))

    def prepare_refit(self, names: Iterable[str]) -> None:
        """FailedPreconditionError while an engine with these weights open is being built, or where that failed."""
        self._beside.require(names)

    def check(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """InvalidArgumentError where no profile holds those sizes."""
        self._pair.refittable.session.check(shapes)

    def refit(self, weights: Weights) -> None:
        """Exchanges weights in place; takes no other work meanwhile, and afterwards captures its CUDA graphs anew."""
        check_refit(self._graph.component, weights, self._graph.parameters)
        changed = {name for name, array in weights.items() if array is not None}
        if closed := sorted(changed - self._pair.refittable.names):
            raise invalid(closed[0], "is closed to refits in this engine; prepare_refit has it opened")
        self._pair.take(weights)
        if self._reference is not None:
            self._reference.refit(weights)
            self.probe(self._reference.infer, "the engine after a refit")

    def about(self) -> dict[str, str]:
        """The library's version, the GPU, and the graph's content."""
        graph = sha256(self._graph.content).hexdigest()
        return {"tensorrt": self._gpu.tensorrt_version, "gpu": self._gpu.name, "graph": graph}

    def close(self) -> None:
        """Ends what is being made beside it."""
        self._beside.close()

    def probe(self, reference: Infer, what: str) -> float:
        """The error against a reference that holds the same weights; FailedPreconditionError if it is too large."""
        graph = self._graph
        with self._pair.lock:
            engine = self._pair.current.run_with
            return check_outputs(engine, reference, graph.samples(), graph.precision, what)

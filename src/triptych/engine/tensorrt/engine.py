"""The TensorRT engine: what `making` brought into the cache, run, refitted and checked."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping

import torch

from triptych.checkpoint import Component
from triptych.engine.memory import run_in_memory
from triptych.engine.port import Array, Engine, EngineSettings, Weights
from triptych.engine.tensorrt.build.making import Making
from triptych.engine.tensorrt.build.plan import RefitPlan
from triptych.engine.tensorrt.network.typed import TypedGraph
from triptych.engine.tensorrt.probe import check_outputs
from triptych.engine.tensorrt.run.refitter import WeightsRefitter
from triptych.engine.tensorrt.run.session import Session
from triptych.engine.weights import check_refit
from triptych.errors import FailedPreconditionError, TriptychError

DEBUG = "TRIPTYCH_ENGINE_DEBUG"
# Lines with it are shown by `triptych up` while it starts.
PROGRESS = {"progress": True}

logger = logging.getLogger("triptych.engine")


class TensorRtEngine(Engine):
    """A session and a refitter; with TRIPTYCH_ENGINE_DEBUG=1 also a reference that every refit is compared with."""

    def __init__(self, graph: TypedGraph, session: Session, plan: RefitPlan, reference: Engine | None) -> None:
        self._graph, self._session, self._reference = graph, session, reference
        self._open = graph.open_names(plan)
        self._refitter = WeightsRefitter(session, graph.component, self._open) if self._open else None
        self._usable = True

    @classmethod
    def load(cls, component: Component, settings: EngineSettings) -> TensorRtEngine:
        """Takes the engine from the cache, building it first (minutes) if this GPU has none of it."""
        making = Making(component, settings, lambda message: logger.info(message, extra=PROGRESS))
        plan = making.build.plan
        with torch.cuda.device(making.device):
            session = making.session(making.ensure())
            engine = cls(making.graph, session, plan, making.reference() if os.environ.get(DEBUG) == "1" else None)
            engine.take_all_weights()
            if plan is RefitPlan.PER_ARCHITECTURE:
                making.check_once(engine.probe)
        return engine

    def infer(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Runs one batch, in parts where the GPU's memory is too small for it whole."""
        if not self._usable:
            raise FailedPreconditionError("a refit of this engine failed, and so did going back: load the model again")
        return run_in_memory(self._session.run, inputs, self._session.release)

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
        self._usable = False
        try:
            self._refitter.refit(weights)
        except Exception as error:  # CUDA's are no TriptychErrors
            self._refitter.refit(dict.fromkeys(self._open))
            self._usable = True
            raise TriptychError(f"a refit failed, and the checkpoint's own weights are back: {error}") from error
        self._usable = True

    def probe(self, reference: Engine, what: str) -> float:
        """The error against a reference that holds the same weights; FailedPreconditionError if it is too large."""
        return check_outputs(
            self._session.run_with, reference.infer, self._graph.samples(), self._graph.precision, what
        )

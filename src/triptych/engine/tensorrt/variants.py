"""Engines of a component's other graphs: under ControlNets and adapters, with pictures to look at, for those that tile.

Each is built in the background when it is first asked for, and holds weights of its own, in which the same are open as
in the engine that runs.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping

import numpy as np

from triptych.engine.conditions import is_controlled
from triptych.engine.kept import Kept, spread
from triptych.engine.rewriting.variant import Variant
from triptych.engine.tensorrt.background import Job
from triptych.engine.tensorrt.build.making import Making
from triptych.engine.tensorrt.build.plan import RefitPlan
from triptych.engine.tensorrt.choice import lack_of_room
from triptych.engine.tensorrt.network.profiles import shape_of
from triptych.engine.tensorrt.network.typed import TypedGraph
from triptych.engine.tensorrt.pair import Pair
from triptych.engine.tensorrt.probe import Infer, check_outputs
from triptych.engine.tensorrt.refittable import Refittable
from triptych.errors import FailedPreconditionError

logger = logging.getLogger("triptych.engine")

Begin = Callable[[str, Callable[[], None]], Job]


class Variants:
    """For one engine; `prepare` may be called from any thread, all else from the engine's."""

    def __init__(self, making: Making, pair: Pair, begin: Begin, stop: threading.Event) -> None:
        """`begin` has work done in the background, one at a time; once `stop` is set it does nothing any more."""
        self._making, self._pair, self._begin, self._stop = making, pair, begin, stop
        self._makings: dict[Variant, Making] = {}
        self._jobs: dict[Variant, Job] = {}
        self._asking, self._varying = threading.Lock(), threading.Lock()

    @property
    def jobs(self) -> list[Job]:
        """One for each that was asked for."""
        return list(self._jobs.values())

    def prepare(self, variant: Variant) -> None:
        """Returns once its engine is there; FailedPreconditionError where it cannot be had."""
        while not self._pair.has(variant):
            job = self._asked_for(variant)
            job.wait()
            if job.problem or self._stop.is_set():
                raise _cannot(job)

    def require(self, variant: Variant) -> None:
        """Has its engine made; FailedPreconditionError until that is there, or where it cannot be had."""
        if self._pair.has(variant):
            return
        job = self._asked_for(variant)
        if built := self._varied(variant).is_built(self._pair.refittable.plan):
            job.wait_for_loading()
        if not self._pair.has(variant):
            raise _cannot(job) if job.problem else _not_yet(job, built)

    def run(self, inputs: Mapping[str, Kept], variant: Variant, *, kept: bool = False) -> dict[str, Kept]:
        """One batch; otherwise as `require`."""
        self.require(variant)
        return self._pair.run(_whole(inputs, self._varied(variant).graph), variant, kept=kept)

    def _asked_for(self, variant: Variant) -> Job:
        """What makes it, begun unless it is being made or has failed."""
        making = self._varied(variant)
        with self._asking:
            job = self._jobs.get(variant)
            is_of_use = self._pair.has(variant)  # what was made may have weights closed that are wanted now
            if job is None or (job.wait(0) and not job.problem and not is_of_use):
                name = f"the engine {making.build(self._pair.refittable.plan).key()} that runs {_told(variant)}"
                job = self._jobs[variant] = self._begin(name, lambda: self._make(variant))
            return job

    def _varied(self, variant: Variant) -> Making:
        """Made once; whoever runs one that is known waits for none that is made just now."""
        if variant not in self._makings:
            with self._varying:
                if variant not in self._makings:
                    self._makings[variant] = self._making.varied(variant)
        return self._makings[variant]

    def _make(self, variant: Variant) -> None:
        making, plan = self._varied(variant), self._pair.refittable.plan
        if lack := lack_of_room(making, plan, self._making.size_bytes(plan)):
            raise FailedPreconditionError(lack)
        one = Refittable(making.graph, making.session(plan), plan, making.waiting)
        if plan is RefitPlan.PER_ARCHITECTURE:
            making.check_once(lambda expected, what: self._probe(one, making.graph, expected, what))
        self._pair.adopt_variant(variant, one)
        logger.info("the engine %s runs %s", making.build(plan).key(), _told(variant))

    def _probe(self, one: Refittable, graph: TypedGraph, expected: Infer, what: str) -> float:
        with self._pair.lock:
            return check_outputs(one.session.run_with, expected, graph.samples(), graph.precision, what)


def _whole(inputs: Mapping[str, Kept], graph: TypedGraph) -> dict[str, Kept]:
    """With zeros for what no ControlNet and no adapter gives; one number for all of a picture stands everywhere in it.

    One graph is right for both, and both together.
    """
    whole = dict(inputs)
    for name in (name for name in graph.dims if is_controlled([name])):
        batch, _, height, width = inputs["latents"].shape
        shape = shape_of(graph.dims[name], {"batch": batch, "latent_height": height, "latent_width": width})
        given = inputs.get(name)
        if given is None:
            whole[name] = spread(np.zeros((), np.float32), shape)
        elif given.shape[2:] == (1, 1):
            whole[name] = spread(given, (*given.shape[:2], *shape[2:]))
    return whole


def _told(variant: Variant) -> str:
    """For people, after "runs"."""
    parts = [
        "under ControlNets and T2I-Adapters" if variant.is_controlled else "",
        f"with {variant.prompts} IP-Adapter{'s' * (variant.prompts > 1)}" if variant.prompts else "",
        f"with convolutions that wrap around along {variant.axes}" if variant.axes else "",
    ]
    return ", ".join(part for part in parts if part)


def _cannot(job: Job) -> FailedPreconditionError:
    problem = job.problem or "the model is being unloaded"
    return FailedPreconditionError(
        f"{job.name} could not be made: {problem}; load the model again to have that tried again, or register the "
        f"checkpoint with the engine onnxruntime or torch"
    )


def _not_yet(job: Job, built: bool) -> FailedPreconditionError:
    state = "is loaded after what is made before it" if built else "is being built, which takes minutes"
    return FailedPreconditionError(f"{job.name} {state}: ask again then")

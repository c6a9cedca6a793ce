"""The replicas of each stage: which are up, which models they hold, and a call that outlives the death of one."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from triptych.contract import ModelSpec
from triptych.errors import UnavailableError
from triptych_orchestrator.settings import Settings
from triptych_orchestrator.triton import ModelMissingError, ReplicaDownError, Tensors, TritonServer

logger = logging.getLogger("triptych.replicas")
Result = TypeVar("Result")

_POLL_INTERVAL_S = 0.25


@dataclass(frozen=True)
class PlacedModel:
    """A model that every replica of its stage should hold; `parameters` are what its load is told."""

    name: str
    spec: ModelSpec
    parameters: Mapping[str, str]


@dataclass(eq=False)
class Replica:
    """One Triton server of a stage; `held` is what it is known to hold since it last came up."""

    name: str
    stage: str
    server: TritonServer
    load_timeout_s: float
    ready: bool = False
    calls: int = 0
    held: set[str] = field(default_factory=set)
    _loading: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def ensure(self, model: PlacedModel) -> None:
        """Loads the model unless it is held; callers at the same time share one load."""
        async with self._loading.setdefault(model.name, asyncio.Lock()):
            if model.name in self.held:
                return
            began = time.monotonic()
            await self.server.load_model(model.name, model.spec, model.parameters, self.load_timeout_s)
            self.held.add(model.name)
            seconds = round(time.monotonic() - began, 3)
            logger.info("model placed", extra={"replica": self.name, "model": model.name, "seconds": seconds})

    async def drop(self, model: PlacedModel) -> None:
        """Unloads the model; a replica that is down holds nothing already."""
        async with self._loading.setdefault(model.name, asyncio.Lock()):
            self.held.discard(model.name)
            with contextlib.suppress(ReplicaDownError):
                await self.server.unload_model(model.name, self.load_timeout_s)

    async def infer(
        self, model: PlacedModel, tensors: Mapping[str, npt.NDArray[np.generic]], request_id: str, timeout_s: float
    ) -> Tensors:
        """One call of a model that this replica holds."""
        self.calls += 1
        try:
            return await self.server.infer(model.name, model.spec, tensors, request_id, timeout_s)
        finally:
            self.calls -= 1


class ReplicaPool:
    """All replicas; watches their health and brings a restarted one its models back."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.replicas = [
            Replica(f"{stage}-{index}", stage, TritonServer(address), settings.load_timeout_s)
            for stage, addresses in settings.stages.items()
            for index, address in enumerate(addresses)
        ]
        self._models: dict[str, PlacedModel] = {}
        self._changed = asyncio.Condition()
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begins to watch; returns at once."""
        self._tasks = [asyncio.create_task(self._watch(replica)) for replica in self.replicas]

    async def stop(self) -> None:
        """Stops watching and closes the connections."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for replica in self.replicas:
            await replica.server.close()

    async def place(self, model: PlacedModel) -> None:
        """Has every replica of the stage hold the model; returns when all that are up do."""
        self._models[model.name] = model
        try:
            await self.wait_ready(model.spec.stage)
            ready = [replica for replica in self._of(model.spec.stage) if replica.ready]
            await asyncio.gather(*(replica.ensure(model) for replica in ready))
        except BaseException:
            await asyncio.shield(self.withdraw(model))
            raise

    async def withdraw(self, model: PlacedModel) -> None:
        """Unloads the model from every replica of the stage."""
        self._models.pop(model.name, None)
        await asyncio.gather(*(replica.drop(model) for replica in self._of(model.spec.stage)))

    async def wait_ready(self, stage: str) -> Replica:
        """The least busy replica that is up; UnavailableError if none comes up in `recovery_timeout_s`."""
        try:
            async with asyncio.timeout(self._settings.recovery_timeout_s), self._changed:
                await self._changed.wait_for(lambda: any(replica.ready for replica in self._of(stage)))
        except TimeoutError:
            addresses = ", ".join(replica.server.address for replica in self._of(stage))
            waited = self._settings.recovery_timeout_s
            raise UnavailableError(
                f"no {stage} replica is up ({addresses}); waited {waited:g} s", stage=stage
            ) from None
        return min((replica for replica in self._of(stage) if replica.ready), key=lambda replica: replica.calls)

    async def run(
        self, model: PlacedModel, work: Callable[[Replica], Awaitable[Result]], preferred: Replica | None = None
    ) -> tuple[Result, Replica]:
        """Does `work` on a replica, once more elsewhere or after a restart if that one fails; bounded in tries and time.

        `work` must be free of effects until it returns: a step computed twice is the same step.
        """
        last: UnavailableError | None = None
        for _ in range(self._settings.call_attempts):
            replica = preferred if preferred and preferred.ready else await self.wait_ready(model.spec.stage)
            try:
                await replica.ensure(model)
                return await work(replica), replica
            except ModelMissingError as error:
                replica.held.discard(model.name)
                last = error
            except ReplicaDownError as error:
                await self._mark(replica, ready=False)
                last = error
            logger.warning("stage call failed, trying again", extra={"replica": replica.name, "error": last.message})
        problem = last.message if last else ""
        attempts = self._settings.call_attempts
        raise UnavailableError(
            f"the {model.spec.stage} stage failed {attempts} times: {problem}", stage=model.spec.stage
        )

    def _of(self, stage: str) -> list[Replica]:
        return [replica for replica in self.replicas if replica.stage == stage]

    async def _watch(self, replica: Replica) -> None:
        while True:
            ready = await replica.server.is_live()
            if ready != replica.ready:
                await self._mark(replica, ready=ready)
                if ready:
                    await self._restore(replica)
            await asyncio.sleep(_POLL_INTERVAL_S)

    async def _restore(self, replica: Replica) -> None:
        for model in [model for model in self._models.values() if model.spec.stage == replica.stage]:
            try:
                await replica.ensure(model)
            except UnavailableError as error:
                logger.warning("model not restored", extra={"replica": replica.name, "error": error.message})

    async def _mark(self, replica: Replica, *, ready: bool) -> None:
        async with self._changed:
            if not ready:
                replica.held.clear()
            if replica.ready != ready:
                logger.info("replica is up" if ready else "replica is down", extra={"replica": replica.name})
            replica.ready = ready
            self._changed.notify_all()

"""The replicas of each stage: which are up, which models they hold, and a call that outlives the death of one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from triptych.errors import CheckpointChangedError, TriptychError, UnavailableError
from triptych_orchestrator.settings import Settings
from triptych_orchestrator.stages.replica import PlacedModel, Replica
from triptych_orchestrator.stages.triton import ModelMissingError, ReplicaDownError, TritonServer

__all__ = ["PlacedModel", "Replica", "ReplicaPool"]

logger = logging.getLogger("triptych.replicas")
Result = TypeVar("Result")

_POLL_INTERVAL_S = 0.25


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
        self._forgetters: list[Callable[[str], None]] = []
        self._changed = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begins to watch; returns at once."""
        for replica in self.replicas:
            self._spawn(self._watch(replica))

    async def stop(self) -> None:
        """Stops watching and closes the connections; to whom loads still, all replicas are down."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for replica in self.replicas:
            replica.mark(ready=False)
            await replica.server.close()

    async def place(self, model: PlacedModel) -> None:
        """Has every replica of the stage hold the model; returns when all that are up do."""
        self._models[model.name] = model
        try:
            for _ in range(self._settings.call_attempts):
                if await self._ensure_all(model, await self.wait_ready(model.spec.stage)):
                    return
            raise UnavailableError(f"every {model.spec.stage} replica went down as it loaded {model.name}")
        except BaseException:
            await asyncio.shield(self.withdraw(model))
            raise

    async def withdraw(self, model: PlacedModel) -> None:
        """Unloads the model from every replica of the stage; no request may use it any more."""
        self._models.pop(model.name, None)
        for forget in self._forgetters:
            forget(model.name)
        await asyncio.gather(*(replica.drop(model) for replica in self._of(model.spec.stage)))

    def on_withdrawal(self, forget: Callable[[str], None]) -> None:
        """Has `forget` told the name of every model that is withdrawn: the place for caches to let go of it."""
        self._forgetters.append(forget)

    def count_ready(self, stage: str) -> int:
        """How many replicas of the stage are up."""
        return sum(replica.ready for replica in self._of(stage))

    def holders(self, model: PlacedModel) -> list[Replica]:
        """The replicas that are up and hold the model."""
        return [replica for replica in self._of(model.spec.stage) if replica.ready and model.name in replica.held]

    def abouts(self, models: Iterable[PlacedModel]) -> dict[str, set[str]]:
        """What models have said of themselves, by their public names: of each all replicas that were given it."""
        told = {model.public_name: {one.about(model) for one in self._of(model.spec.stage)} - {""} for model in models}
        return {name: abouts for name, abouts in told.items() if abouts}

    async def wait_ready(self, stage: str, until_s: float | None = None) -> list[Replica]:
        """The replicas that are up; UnavailableError if none comes up in `recovery_timeout_s`, or until `until_s`."""
        timeout_s = self._settings.recovery_timeout_s
        deadline_s = asyncio.get_running_loop().time() + timeout_s if until_s is None else until_s
        try:
            async with asyncio.timeout_at(deadline_s), self._changed:
                await self._changed.wait_for(lambda: self.count_ready(stage))
        except TimeoutError:
            addresses = ", ".join(replica.server.address for replica in self._of(stage))
            message = f"no {stage} replica is up ({addresses}); waited {timeout_s:g} s"
            raise UnavailableError(message, stage=stage) from None
        return [replica for replica in self._of(stage) if replica.ready]

    async def run(
        self, model: PlacedModel, work: Callable[[Replica], Awaitable[Result]], preferred: Replica | None = None
    ) -> tuple[Result, Replica]:
        """Does `work` on a replica; if that fails, again on another or after its restart, bounded in tries and time.

        `work` must be free of effects until it returns: a step computed twice is the same step.
        """
        stage, attempts = model.spec.stage, self._settings.call_attempts
        until_s, problem = None, ""
        for _ in range(attempts):
            replica = await self._choose(model, preferred, until_s)
            load = None
            try:
                load = await replica.ensure(model)
                return await work(replica), replica
            except ModelMissingError as error:
                problem = error.message
                replica.forget(load)
            except ReplicaDownError as error:
                problem = error.message
                await self._mark(replica, ready=False)
            except CheckpointChangedError as error:
                others = self.holders(model)
                if load or not others:
                    raise
                # They have it as it was.
                preferred, problem = min(others, key=lambda other: other.load), error.message
            until_s = until_s or asyncio.get_running_loop().time() + self._settings.recovery_timeout_s
            logger.warning("stage call failed, trying again", extra={"replica": replica.name, "error": problem})
        raise UnavailableError(f"the {stage} stage failed {attempts} times: {problem}", stage=stage)

    async def _choose(self, model: PlacedModel, preferred: Replica | None, until_s: float | None) -> Replica:
        """The preferred replica, or else the least busy of those that hold the model, or else of all that are up."""
        if self._models.get(model.name) != model:
            raise UnavailableError(f"{model.name} was unloaded meanwhile", stage=model.spec.stage)
        if preferred and preferred.ready:
            return preferred
        ready = await self.wait_ready(model.spec.stage, until_s)
        return min(ready, key=lambda replica: (model.name not in replica.held, replica.load))

    async def _ensure_all(self, model: PlacedModel, replicas: list[Replica]) -> bool:
        """Whether the model is held by at least one of the replicas; one that goes down meanwhile is marked so."""
        outcomes = await asyncio.gather(*(replica.ensure(model) for replica in replicas), return_exceptions=True)
        down = []
        for replica, outcome in zip(replicas, outcomes, strict=True):
            if isinstance(outcome, ReplicaDownError):
                down.append(replica)
                await self._mark(replica, ready=False)
            elif isinstance(outcome, BaseException):
                raise outcome
        return len(down) < len(replicas)

    def _of(self, stage: str) -> list[Replica]:
        return [replica for replica in self.replicas if replica.stage == stage]

    async def _watch(self, replica: Replica) -> None:
        while True:
            ready = await replica.server.is_live(self._settings.liveness_timeout_s)
            if ready != replica.ready:
                await self._mark(replica, ready=ready)
                if ready:
                    self._spawn(self._restore(replica))
            await asyncio.sleep(_POLL_INTERVAL_S)

    async def _restore(self, replica: Replica) -> None:
        """Brings a replica that came up to hold what it should, and nothing that was unloaded meanwhile."""
        wanted = [model for model in self._models.values() if model.spec.stage == replica.stage]
        for model in {model.name: model for model in [*replica.uncertain(), *wanted]}.values():
            try:
                if model.name in self._models:
                    await replica.ensure(self._models[model.name])
                if model.name not in self._models:
                    await replica.drop(model)
            except TriptychError as error:
                extra = {"replica": replica.name, "model": model.name, "error": error.message}
                logger.warning("model not restored", extra=extra)

    async def _mark(self, replica: Replica, *, ready: bool) -> None:
        async with self._changed:
            if replica.ready != ready:
                logger.info("replica is up" if ready else "replica is down", extra={"replica": replica.name})
            replica.mark(ready=ready)
            self._changed.notify_all()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()):
            logger.error("a replica is not looked after any more", exc_info=failure)

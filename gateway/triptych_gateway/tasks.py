"""What runs for whom: one task for each call that makes pictures.

task = tasks.start(caller, work, jobs=2)    # async def work(task): ... await task.generate(prompt, **parameters)
value = await task.value()                  # what `work` returned
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import Any

from triptych import AsyncClient
from triptych.errors import AlreadyExistsError, ServerStoppingError, TriptychError
from triptych_gateway.caller import Caller
from triptych_gateway.task import Task, Value

# Finished ones are remembered for whoever asks again.
KEPT = 200


def _cut_off() -> TriptychError:
    return ServerStoppingError("the gateway is stopping, and this did not end in time; try again once it is back")


class Tasks:
    """All tasks of one gateway: those that run, and the latest that ended."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._tasks: dict[tuple[Caller, str], Task[Any]] = {}
        self._is_stopping = False
        self._changed: dict[Caller, asyncio.Event] = {}

    def start(
        self,
        caller: Caller,
        work: Callable[[Task[Value]], Awaitable[Value]],
        *,
        task_id: str | None = None,
        jobs: int = 1,
        label: str = "",
        about: Any = None,
    ) -> Task[Value]:
        """Starts work; AlreadyExistsError where this caller has one of that id running."""
        if self._is_stopping:
            raise ServerStoppingError("the gateway is stopping and takes nothing new; try again once it is back")
        identity = task_id or secrets.token_hex(16)
        known = self._tasks.get((caller, identity))
        if known is not None and not known.is_done:
            raise AlreadyExistsError(f"task_id: {identity} is running; choose another", field="task_id")
        self._forget_some()
        task: Task[Value] = Task(self._client, identity, caller, jobs, label, about, partial(self._tell, caller))
        self._tasks.pop((caller, identity), None)
        self._tasks[caller, identity] = task
        task.begin(work)
        self._tell(caller)
        return task

    def get(self, caller: Caller, task_id: str) -> Task[Any] | None:
        """A caller's task by its id."""
        return self._tasks.get((caller, task_id))

    def of(self, caller: Caller) -> list[Task[Any]]:
        """A caller's tasks, the latest first."""
        return [task for (whose, _), task in reversed(self._tasks.items()) if whose == caller]

    async def changes(self, caller: Caller) -> AsyncGenerator[None, None]:
        """Yields now, and whenever one of a caller's tasks has begun or changed."""
        while True:
            changed = self._changed.setdefault(caller, asyncio.Event())
            yield
            await changed.wait()

    async def run(self, caller: Caller, work: Callable[[Task[Value]], Awaitable[Value]], **options: Any) -> Value:
        """Work whose caller waits for it: leaving cancels it."""
        task = self.start(caller, work, **options)
        try:
            return await task.value()
        finally:
            if not task.is_done:
                task.cancel()
            task.let_go()

    def running(self) -> int:
        """How many have not ended."""
        return sum(not task.is_done for task in self._tasks.values())

    async def drain(self, timeout_s: float) -> None:
        """Takes nothing new, and waits until all has ended, for that long at most; then cancels what is left."""
        self._is_stopping = True
        waiting = [asyncio.ensure_future(task.ended()) for task in self._tasks.values() if not task.is_done]
        if waiting:
            await asyncio.wait(waiting, timeout=timeout_s)
        await self.close()
        for each in waiting:
            each.cancel()

    async def close(self) -> None:
        """Cancels what still runs, and waits for it."""
        running = [task for task in self._tasks.values() if not task.is_done]
        for task in running:
            task.cancel(_cut_off)
        for task in running:
            await task.ended()

    def _tell(self, caller: Caller) -> None:
        if changed := self._changed.pop(caller, None):
            changed.set()

    def _forget_some(self) -> None:
        ended = [key for key, task in self._tasks.items() if task.is_done]
        for key in ended[: max(0, len(ended) - KEPT)]:
            del self._tasks[key]

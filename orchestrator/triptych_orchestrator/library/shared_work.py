"""Work that several callers wait for together, and that ends with the last of them.

entry = await loads.join("sd15", lambda: load("sd15"))
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from triptych.errors import TriptychError

Value = TypeVar("Value")


@dataclass(eq=False)
class _Work(Generic[Value]):
    task: asyncio.Task[Value]
    callers: int = 0
    given_up: TriptychError | None = None


class SharedWork(Generic[Value]):
    """At most one piece of work for each key; belongs to the event loop."""

    def __init__(self) -> None:
        self._works: dict[Hashable, _Work[Value]] = {}

    async def join(self, key: Hashable, start: Callable[[], Coroutine[Any, Any, Value]]) -> Value:
        """What the work under way gives, or else that of `start`, or the error that it was given up with."""
        work = self._works.get(key) or self._begin(key, start())
        work.callers += 1
        try:
            await asyncio.wait([work.task])
        finally:
            work.callers -= 1
            if not work.callers:
                self._end(key, work)
        if work.given_up:
            raise work.given_up
        return work.task.result()

    def give_up(self, key: Hashable, error: TriptychError) -> None:
        """Ends the work under way, if there is any; those who wait for it get the error."""
        if work := self._works.get(key):
            work.given_up = error
            self._end(key, work)

    def _begin(self, key: Hashable, coroutine: Coroutine[Any, Any, Value]) -> _Work[Value]:
        work = self._works[key] = _Work(asyncio.create_task(coroutine))
        work.task.add_done_callback(lambda _: self._end(key, work))
        return work

    def _end(self, key: Hashable, work: _Work[Value]) -> None:
        """Who comes from now on begins anew, though what is cancelled may take a while to end."""
        if self._works.get(key) is work:
            del self._works[key]
        if not work.task.cancel() and not work.task.cancelled():
            work.task.exception()  # seen, even where nobody waits for it any more

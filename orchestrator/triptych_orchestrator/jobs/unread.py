"""What a request has made and its reader has not taken yet: making never waits for reading."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Generic, TypeVar

from triptych.errors import TriptychError
from triptych_orchestrator.jobs.events import Event, Step

Made = TypeVar("Made")
ThinOut = Callable[[deque[Made]], None]

_PREVIEW_BYTES = 8 << 20


class Unread(Generic[Made]):
    """Events in order, made in a task of their own; `thin_out` is given all unread ones whenever one more is made."""

    def __init__(self, events: AsyncGenerator[Made, None], thin_out: ThinOut[Made]) -> None:
        self._thin_out = thin_out
        self._events: deque[Made] = deque()
        self._reason: TriptychError | None = None
        self._news = asyncio.Event()
        self._making = asyncio.create_task(self._make(events))
        self._making.add_done_callback(lambda _: self._news.set())

    @property
    def complete(self) -> bool:
        """Whether nothing more is made."""
        return self._making.done()

    async def take(self) -> Made | None:
        """The next event, None after the last; a failure comes after what was made before it."""
        while not (self._events or self.complete):
            self._news.clear()
            await self._news.wait()
        if self._reason:
            raise self._reason
        return self._events.popleft() if self._events else self._making.result()

    def stop(self, reason: TriptychError) -> None:
        """Stops the making where it is; the reader gets the reason in place of what is unread."""
        self._reason = self._reason or reason
        self._events.clear()
        self._cancel()

    async def close(self) -> None:
        """Stops the making; returns when it has ended."""
        self._cancel()
        await asyncio.wait({self._making})
        if not self._making.cancelled():
            self._making.exception()  # seen: the request is over, whatever it failed of meanwhile

    def _cancel(self) -> None:
        if not self._making.cancelling():  # a second time would disturb what the first has it clean up
            self._making.cancel()

    async def _make(self, events: AsyncGenerator[Made, None]) -> None:
        async with aclosing(events):
            async for event in events:
                self._events.append(event)
                self._thin_out(self._events)
                self._news.set()


def keep_all(events: deque[Made]) -> None:
    """Thins out nothing."""


def drop_previews(events: deque[Event]) -> None:
    """Takes the oldest previews out of steps until those left are few; the steps stay, and so does all else."""
    steps = [event for event in events if isinstance(event, Step) and event.preview_png]
    excess = sum(len(step.preview_png) for step in steps) - _PREVIEW_BYTES
    for step in steps:
        if excess <= 0:
            return
        excess -= len(step.preview_png)
        step.preview_png = b""

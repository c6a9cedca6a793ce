"""How many requests run at once, how many may wait, and which ids are running."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import TypeVar

from triptych.errors import AlreadyExistsError, CancelledError, NotFoundError, ResourceExhaustedError
from triptych_orchestrator.metrics import RUNNING, WAIT_SECONDS, WAITING
from triptych_orchestrator.settings import Limits

Event = TypeVar("Event")


class Admission:
    """Requests wait in order of arrival; beyond the limit of waiting ones they are refused at once."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._turns = asyncio.Semaphore(limits.max_concurrent_requests)
        self._waiting = 0
        self._cancels: dict[str, asyncio.Event] = {}

    async def stream(self, request_id: str, events: AsyncGenerator[Event, None]) -> AsyncGenerator[Event, None]:
        """Passes on a request's events, until `cancel` stops the request where it is.

        Every event is made in a task of its own: cancelling gRPC's task could hit it outside of our code, while it
        writes, and the client would never hear of it.
        """
        if request_id in self._cancels:
            raise AlreadyExistsError(f"request_id: {request_id!r} is running already", field="request_id")
        cancelled = self._cancels[request_id] = asyncio.Event()
        watch = asyncio.create_task(cancelled.wait())
        try:
            async with aclosing(events):
                while (event := await _next(events, watch, request_id)) is not None:
                    yield event
        finally:
            watch.cancel()
            del self._cancels[request_id]

    def cancel(self, request_id: str) -> None:
        """Stops a request; NotFoundError if none of that id is running."""
        if request_id not in self._cancels:
            raise NotFoundError(f"request_id: no request {request_id!r} is running", field="request_id")
        self._cancels[request_id].set()

    def check_room(self) -> None:
        """ResourceExhaustedError if a request could not even wait now."""
        limits = self._limits
        if self._turns.locked() and self._waiting >= limits.max_queued_requests:
            raise ResourceExhaustedError(
                f"{limits.max_concurrent_requests} requests are running and {self._waiting} waiting; try again later"
            )

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[float]:
        """Waits for a place; yields the seconds waited."""
        self.check_room()
        began = time.monotonic()
        self._waiting += 1
        WAITING.inc()
        try:
            await self._turns.acquire()
        finally:
            self._waiting -= 1
            WAITING.dec()
        waited_s = time.monotonic() - began
        WAIT_SECONDS.observe(waited_s)
        RUNNING.inc()
        try:
            yield waited_s
        finally:
            RUNNING.dec()
            self._turns.release()


async def _next(events: AsyncGenerator[Event, None], cancelled: asyncio.Task[bool], request_id: str) -> Event | None:
    """The next event, None after the last; CancelledError once `cancelled` is done."""
    if cancelled.done():  # while the last event was being read
        raise CancelledError(f"request {request_id} was cancelled")
    step = asyncio.create_task(_step(events))
    try:
        await asyncio.wait({step, cancelled}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        if not step.done():
            step.cancel()
            await asyncio.wait({step})
            if not step.cancelled():
                step.exception()  # seen: the request is over, whatever it failed of meanwhile
    if step.cancelled():
        raise CancelledError(f"request {request_id} was cancelled")
    return step.result()


async def _step(events: AsyncGenerator[Event, None]) -> Event | None:
    try:
        return await anext(events)
    except StopAsyncIteration:
        return None

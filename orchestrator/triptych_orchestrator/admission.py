"""How many requests run at once, how many may wait, and which ids are running."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from triptych.errors import AlreadyExistsError, CancelledError, NotFoundError, ResourceExhaustedError
from triptych_orchestrator.metrics import RUNNING, WAIT_SECONDS, WAITING
from triptych_orchestrator.settings import Limits


class Admission:
    """Requests wait in order of arrival; beyond the limit of waiting ones they are refused at once."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._turns = asyncio.Semaphore(limits.max_concurrent_requests)
        self._waiting = 0
        self._tasks: dict[str, asyncio.Task[object]] = {}
        self._cancelled: set[str] = set()

    @asynccontextmanager
    async def register(self, request_id: str) -> AsyncIterator[None]:
        """Makes the request cancellable by its id for as long as it is here."""
        if request_id in self._tasks:
            raise AlreadyExistsError(f"request_id: {request_id!r} is running already", field="request_id")
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("requests run in tasks")
        self._tasks[request_id] = task
        try:
            yield
        except asyncio.CancelledError:
            if request_id in self._cancelled:
                task.uncancel()
                raise CancelledError(f"request {request_id} was cancelled") from None
            raise
        finally:
            del self._tasks[request_id]
            self._cancelled.discard(request_id)

    def cancel(self, request_id: str) -> None:
        """Stops a request; NotFoundError if none of that id is running."""
        if request_id not in self._tasks:
            raise NotFoundError(f"request_id: no request {request_id!r} is running", field="request_id")
        self._cancelled.add(request_id)
        self._tasks[request_id].cancel()

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[float]:
        """Waits for a place; yields the seconds waited."""
        if self._turns.locked() and self._waiting >= self._limits.max_queued_requests:
            limits = self._limits
            raise ResourceExhaustedError(
                f"{limits.max_concurrent_requests} requests are running and {self._waiting} waiting; try again later"
            )
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

"""How many requests run at once, in which order others wait, and which ids are running."""

from __future__ import annotations

import asyncio
import bisect
import itertools
import math
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from triptych.errors import (
    AlreadyExistsError,
    CancelledError,
    DeadlineExceededError,
    NotFoundError,
    ResourceExhaustedError,
    TriptychError,
)
from triptych_orchestrator.jobs.caller import Caller, RequestKey
from triptych_orchestrator.jobs.unread import Made, ThinOut, Unread, keep_all
from triptych_orchestrator.metrics import RUNNING, WAIT_SECONDS, WAITING
from triptych_orchestrator.settings import Limits

_Turn = asyncio.Future[None]

# How much of the estimated time of a request the latest one decides.
_WEIGHT_OF_LATEST = 0.2
_EVENT_DELAY_S = 0.002


class Admission:
    """The highest priority goes first, then the order of arrival; beyond the limit of waiting ones all are refused."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._free = limits.max_concurrent_requests
        self._queue: list[tuple[int, int, _Turn]] = []
        self._arrivals = itertools.count()
        self._waiting = 0
        self._unread: dict[RequestKey, Unread[Any]] = {}
        self._typical_seconds = 0.0

    async def stream(
        self,
        key: RequestKey,
        events: AsyncGenerator[Made, None],
        deadline_s: float = math.inf,
        thin_out: ThinOut[Made] = keep_all,
    ) -> AsyncGenerator[Made, None]:
        """Passes on a request's events, until `cancel`, or the loop's clock at `deadline_s`, stops it where it is.

        They are made in a task of their own that waits for no reader, so that a place is free once its work is done;
        `thin_out` says what is kept for a slow one. Besides, cancelling gRPC's task could hit it outside of our code,
        while it writes, and the client would never hear of it.
        """
        if key in self._unread:
            raise AlreadyExistsError(f"request_id: {key.request_id!r} is running already", field="request_id")
        unread = self._unread[key] = Unread(events, thin_out)
        timer = _timer(deadline_s, unread, key.request_id)
        try:
            while (event := await unread.take()) is not None:
                # Sending an event takes half a millisecond of this loop, and the next step is to go out first.
                await asyncio.sleep(_EVENT_DELAY_S)
                yield event
        finally:
            try:
                await unread.close()
            finally:  # even if gRPC cancels us just then
                if timer:
                    timer.cancel()
                del self._unread[key]

    def cancel(self, request_id: str, caller: Caller) -> None:
        """Stops a request; NotFoundError if this caller knows none of that id that is running."""
        unread = next((self._unread[key] for key in caller.keys_for(request_id) if key in self._unread), None)
        if unread is None:
            raise NotFoundError(f"request_id: no request {request_id!r} is running", field="request_id")
        unread.stop(CancelledError(f"request {request_id} was cancelled"))

    def stop_all(self, reason: TriptychError) -> None:
        """Stops every request, with that reason."""
        for unread in self._unread.values():
            unread.stop(reason)

    def check_room(self) -> None:
        """ResourceExhaustedError, with a hint when to try again, if a request could not even wait now."""
        limits = self._limits
        if self._waiting >= limits.max_queued_requests + self._free:
            seconds = max(1, math.ceil(self._typical_seconds * (self._waiting + 1) / limits.max_concurrent_requests))
            running = limits.max_concurrent_requests - self._free
            raise ResourceExhaustedError(
                f"{running} requests are running and {self._waiting} waiting; try again in {seconds} s",
                retry_after_seconds=str(seconds),
            )

    @contextmanager
    def preparing(self) -> Iterator[None]:
        """Counts a request among those that wait, also while it is worked for before its turn; first `check_room`."""
        self.check_room()
        self._waiting += 1
        WAITING.inc()
        try:
            yield
        finally:
            self._waiting -= 1
            WAITING.dec()

    @asynccontextmanager
    async def turn(self, priority: int = 0) -> AsyncIterator[float]:
        """Waits for a place; yields the seconds waited."""
        clock = asyncio.get_running_loop().time
        began = clock()
        with self.preparing():
            await self._take(priority)
        started = clock()
        WAIT_SECONDS.observe(started - began)
        RUNNING.inc()
        try:
            yield started - began
        finally:
            RUNNING.dec()
            self._give_back()
            self._note(clock() - started)

    async def _take(self, priority: int) -> None:
        if self._free > 0:
            self._free -= 1
            return
        turn: _Turn = asyncio.get_running_loop().create_future()
        place = (-priority, next(self._arrivals), turn)
        bisect.insort(self._queue, place)
        try:
            await turn
        except asyncio.CancelledError:
            if place in self._queue:
                self._queue.remove(place)
            if not turn.cancelled():  # the place was given in the same moment
                self._give_back()
            raise

    def _give_back(self) -> None:
        while self._queue:
            turn = self._queue.pop(0)[2]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def _note(self, seconds: float) -> None:
        before = self._typical_seconds or seconds
        self._typical_seconds = before + _WEIGHT_OF_LATEST * (seconds - before)


def _timer(deadline_s: float, unread: Unread[Any], request_id: str) -> asyncio.TimerHandle | None:
    """Stops a request that is not done by then."""
    reason = DeadlineExceededError(f"request {request_id}: its deadline passed before its pictures were done")

    def stop() -> None:
        if not unread.complete:
            unread.stop(reason)

    return asyncio.get_running_loop().call_at(deadline_s, stop) if deadline_s < math.inf else None

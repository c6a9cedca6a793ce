"""Sends the steps of concurrent requests to a replica together, so that Triton's dynamic batcher can merge them.

Closed loops drift apart otherwise: while one request's step runs the other's waits, and they alternate for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class StepGate:
    """One per (replica, model, shape). A wave of steps starts when none is running and every member's step is here,
    or when `linger_s` have passed since the first could have gone; a request alone never waits.
    """

    def __init__(self, linger_s: float = 0.003) -> None:
        self._linger_s = linger_s
        self._members = 0
        self._running = 0
        self._waiting: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Whether nobody is in a loop behind this gate."""
        return self._members == 0 and self._running == 0

    def join(self) -> None:
        """A request's loop is about to send steps through this gate."""
        self._members += 1

    def leave(self) -> None:
        """That loop is over, or sends its steps elsewhere from now on."""
        self._members -= 1
        self._consider()

    @asynccontextmanager
    async def step(self) -> AsyncIterator[None]:
        """Waits for the wave; the step runs inside."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._consider()
        try:
            await turn
        except asyncio.CancelledError:
            if turn in self._waiting:
                self._waiting.remove(turn)
            if not turn.cancelled():  # its wave had started already
                self._running -= 1
            self._consider()
            raise
        try:
            yield
        finally:
            self._running -= 1
            self._consider()

    def _consider(self) -> None:
        if self._running or not self._waiting:
            return
        if len(self._waiting) >= self._members:
            self._release()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._linger_s, self._release)

    def _release(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._running:
            return
        wave, self._waiting = [turn for turn in self._waiting if not turn.done()], []
        self._running = len(wave)
        for turn in wave:
            turn.set_result(None)

"""HTTP by uvicorn, without patience for who sends a request, or takes an answer, too slowly."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from uvicorn.protocols.http.h11_impl import H11Protocol

from triptych_gateway.door.metrics import CONNECTIONS


class PatientProtocol(H11Protocol):
    """A connection that is cut where a head is not whole, a body goes on, or an answer is taken in time.

    Its request is cancelled then, as that of anyone who leaves.
    """

    max_pause_s = 30.0
    max_unread_s = 120.0

    @classmethod
    def within(cls, max_pause_s: float, max_unread_s: float) -> type[PatientProtocol]:
        """One of other times."""
        return type(cls.__name__, (cls,), {"max_pause_s": max_pause_s, "max_unread_s": max_unread_s})

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._reading: asyncio.TimerHandle | None = None
        self._writing: asyncio.TimerHandle | None = None
        self._awaits_head = False
        self._has_waited = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """The head of the first request must come."""
        super().connection_made(transport)
        CONNECTIONS.inc()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends all waiting."""
        CONNECTIONS.dec()
        self._stop_reading()
        self._stop_writing()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """What is still to come must come in time: a head as a whole, of a body the next part."""
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            if not self._awaits_head:
                self._await_head()
        elif self.cycle.more_body:
            self._await(self._look_at_body)
        else:
            self._stop_reading()

    def pause_writing(self) -> None:
        """The transport holds as much as it may: the client must take some of it."""
        super().pause_writing()
        self._writing = self.loop.call_later(self.max_unread_s, self.transport.abort)

    def resume_writing(self) -> None:
        """It has."""
        self._stop_writing()
        super().resume_writing()

    def _await_head(self) -> None:
        self._await(self.transport.abort)
        self._awaits_head = True

    def _await(self, then: Callable[[], None]) -> None:
        self._stop_reading()
        self._reading = self.loop.call_later(self.max_pause_s, then)

    def _look_at_body(self) -> None:
        """Gives up on who has sent nothing twice as long, but not while the route is the one who does not read."""
        if self._has_waited and not self.flow.read_paused:
            self.transport.abort()
            return
        has_waited = not self.flow.read_paused
        self._await(self._look_at_body)
        self._has_waited = has_waited

    def _stop_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
        self._reading, self._awaits_head, self._has_waited = None, False, False

    def _stop_writing(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
            self._writing = None

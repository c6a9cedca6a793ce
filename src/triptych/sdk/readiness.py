"""Waiting for a server to come up: the transports poll and sleep, this keeps the clock and the reason."""

from __future__ import annotations

import time

from triptych.errors import TriptychError, UnavailableError
from triptych.sdk.catalog import ServerInfo

POLL_INTERVAL_S = 0.1


class Readiness:
    """A countdown of `timeout_s` seconds, until `accepts` is true of what the server says about itself."""

    def __init__(self, address: str, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._end = time.monotonic() + timeout_s
        self._problem = "not asked yet"

    def left_s(self) -> float:
        """Seconds left.

        Raises:
            UnavailableError: none are; the message says what was still missing.
        """
        left = self._end - time.monotonic()
        if left <= 0:
            problem = f"the server at {self._address} is not ready after {self._timeout_s:g} s: {self._problem}"
            raise UnavailableError(problem, address=self._address)
        return left

    def missed(self, error: TriptychError) -> None:
        """Notes that the server did not answer."""
        self._problem = error.message

    def accepts(self, info: ServerInfo) -> bool:
        """Whether every stage has a replica that is ready; else notes which has none."""
        stages = {replica.stage for replica in info.replicas}
        missing = stages - {replica.stage for replica in info.replicas if replica.ready}
        self._problem = f"no replica is ready of: {', '.join(sorted(missing))}"
        return not missing

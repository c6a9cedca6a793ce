"""How long to wait before a process that died is started again."""

from __future__ import annotations

FIRST_S = 0.5
LONGEST_S = 30.0
HEALTHY_S = 60.0


class Backoff:
    """Doubles from FIRST_S to LONGEST_S; a life of HEALTHY_S starts it over."""

    def __init__(self) -> None:
        self._next_s = FIRST_S

    def delay_s(self, lived_s: float) -> float:
        """The pause after a life of `lived_s`."""
        if lived_s >= HEALTHY_S:
            self._next_s = FIRST_S
        delay_s = self._next_s
        self._next_s = min(2 * delay_s, LONGEST_S)
        return delay_s

"""The time that a check has, and what is known so far of how long things take.

budget = Budget(480.0)
budget.require(estimate_s)      # NoTimeError, with the reason, where too little is left
"""

from __future__ import annotations

import time
from collections.abc import Callable

# Of what a row at another size takes: convolutions grow with the square of the edge, attention with the fourth power.
_GROWTH = 2.5
# Of a picture at 512x512, before any was made.
_GUESS_S = 5.0
_GUESS_EDGE = 512


class NoTimeError(Exception):
    """What is left is too little; the message says how much was needed."""


class Budget:
    """Counts from now on."""

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until_s = clock() + seconds

    def left_s(self) -> float:
        """Below zero once it is spent."""
        return self._until_s - self._clock()

    def require(self, estimate_s: float) -> None:
        """NoTimeError unless so much is left."""
        if (left_s := self.left_s()) < estimate_s:
            raise NoTimeError(f"{max(left_s, 0):.0f} s were left, about {estimate_s:.0f} s are needed")


class Estimates:
    """Seconds of one picture by (model, side, edge), and of a side's start by (model, side)."""

    def __init__(self) -> None:
        self._pictures: dict[tuple[str, str, int], float] = {}
        self._starts: dict[tuple[str, str], float] = {}
        self._first_starts: dict[tuple[str, str], float] = {}

    def learn_picture(self, model: str, side: str, edge: int, seconds: float) -> None:
        """Takes note of one."""
        self._pictures[model, side, edge] = seconds

    def learn_start(self, model: str, side: str, seconds: float) -> None:
        """Takes note of one; a model's first holds the builds, and those that follow do not."""
        self._starts[model, side] = seconds
        self._first_starts.setdefault((model, side), seconds)

    def has_started(self, model: str, side: str) -> bool:
        """Whether one was noted."""
        return (model, side) in self._starts

    def picture_s(self, model: str, side: str, edge: int) -> float:
        """From the same side at the nearest size, else from the slowest other one of the model, else a guess."""
        own = {e: s for (m, name, e), s in self._pictures.items() if (m, name) == (model, side)}
        others: dict[int, float] = {}
        for (m, _, e), seconds in self._pictures.items():
            if m == model:
                others[e] = max(seconds, others.get(e, 0.0))
        known = own or others or {_GUESS_EDGE: _GUESS_S}
        nearest = min(known, key=lambda known_edge: abs(known_edge - edge))
        return float(known[nearest] * max(1.0, edge / nearest) ** _GROWTH)

    def start_s(self, model: str, side: str, guess_s: float) -> float:
        """From the same side of the model, else the first of another, else the guess."""
        others = [seconds for (_, name), seconds in self._first_starts.items() if name == side]
        return self._starts.get((model, side), max(others, default=guess_s))

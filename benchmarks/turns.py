"""Sides of a comparison taking turns in one run, so that a machine that gets slower gets slower for all of them.

seconds = take_turns({"with": measure_one, "without": measure_other}, rounds=5)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median

# Is told the round, counted from 0; gives seconds.
Side = Callable[[int], float]


def take_turns(sides: Mapping[str, Side], rounds: int) -> dict[str, list[float]]:
    """Every side once a round, in every other round from the last to the first; prints each round's seconds."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for index in range(rounds):
        for name in list(sides)[:: -1 if index % 2 else 1]:
            seconds[name].append(sides[name](index))
        told = ", ".join(f"{name} {values[-1]:.3f} s" for name, values in seconds.items())
        print(f"round {index + 1}: {told}", flush=True)
    return seconds


def ratio_by_round(ones: Sequence[float], others: Sequence[float]) -> float:
    """The median over the rounds of one side's seconds to the other's.

    The two of a round had much the same machine, which over the whole run drifts further than sides differ.
    """
    return median(one / other for one, other in zip(ones, others, strict=True))


def timed(work: Callable[[], object]) -> float:
    """Seconds that it took."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def counting_work(side: Side, seconds: list[float], clock: Callable[[], float] = time.process_time) -> Side:
    """The same, which adds to the list how long all cores worked, by the clock: others' load tells less there.

    Where it gives none, it is this process that they worked for.
    """

    def counted(index: int) -> float:
        began = clock()
        taken = side(index)
        seconds.append(clock() - began)
        return taken

    return counted

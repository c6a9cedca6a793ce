"""The most that something took, and how it was shared out at that moment."""

from __future__ import annotations

from collections.abc import Mapping
from threading import Event

from triptych.measuring.memory import PeakMemory


def test_parts_are_those_of_the_moment_when_their_sum_was_greatest() -> None:
    told = iter([{"a": 1, "b": 5}, {"a": 4, "b": 4}])
    all_told = Event()

    def used() -> Mapping[str, int]:
        if (parts := next(told, None)) is None:
            all_told.set()
        return parts or {"a": 6, "c": 1}

    with PeakMemory(used, every_s=0.001) as peak:
        assert all_told.wait(30)
    assert (peak.bytes, peak.parts) == (8, {"a": 4, "b": 4})


def test_what_came_last_is_counted_however_seldom_it_is_asked_for() -> None:
    held = {"a": 1}
    asked = Event()

    def used() -> Mapping[str, int]:
        parts = dict(held)
        asked.set()
        return parts

    with PeakMemory(used, every_s=3600) as peak:
        assert asked.wait(30)
        held["a"] = 2
    assert peak.bytes == 2

from __future__ import annotations

from collections import deque

from triptych_orchestrator.jobs.events import Event, Result, Step
from triptych_orchestrator.jobs.unread import drop_previews

MEBIBYTE = 1 << 20


def step(number: int, mebibytes: int = 0) -> Step:
    return Step(number, 5, 1.0, 0.1, 0.1, 1, preview_png=bytes(mebibytes * MEBIBYTE))


def test_the_oldest_previews_go_and_their_steps_stay() -> None:
    events: deque[Event] = deque([step(1, 3), step(2), step(3, 3), step(4, 3), step(5, 3)])
    drop_previews(events)
    assert [event.step for event in events] == [1, 2, 3, 4, 5]
    assert [len(event.preview_png) // MEBIBYTE for event in events if isinstance(event, Step)] == [0, 0, 0, 3, 3]


def test_all_else_is_as_it_was() -> None:
    result = Result("a", ())
    events: deque[Event] = deque([step(1, 8), step(2, 1), result])
    drop_previews(events)
    assert [type(event) for event in events] == [Step, Step, Result] and events[2] is result
    assert result == Result("a", ())
    few: deque[Event] = deque([step(1, 1), step(2, 1)])
    drop_previews(few)
    assert [len(event.preview_png) for event in few] == [MEBIBYTE, MEBIBYTE]

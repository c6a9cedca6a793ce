from __future__ import annotations

from collections import deque

from triptych.v1.generation_pb2 import GenerateResponse, Queued, Result, Step
from triptych_orchestrator.jobs.unread import drop_previews

MEBIBYTE = 1 << 20


def step(number: int, mebibytes: int = 0) -> GenerateResponse:
    return GenerateResponse(step=Step(step=number, preview_png=bytes(mebibytes * MEBIBYTE)))


def test_the_oldest_previews_go_and_their_steps_stay() -> None:
    events = deque([step(1, 3), step(2), step(3, 3), step(4, 3), step(5, 3)])
    drop_previews(events)
    assert [event.step.step for event in events] == [1, 2, 3, 4, 5]
    assert [len(event.step.preview_png) // MEBIBYTE for event in events] == [0, 0, 0, 3, 3]


def test_all_else_is_as_it_was() -> None:
    others = [GenerateResponse(queued=Queued(request_id="a")), GenerateResponse(result=Result(request_id="a"))]
    events = deque([others[0], step(1, 8), step(2, 1), others[1]])
    before = [GenerateResponse.FromString(other.SerializeToString()) for other in others]
    drop_previews(events)
    assert [events[0], events[3]] == before
    assert [event.WhichOneof("event") for event in events] == ["queued", "step", "step", "result"]
    few = deque([step(1, 1), step(2, 1)])
    drop_previews(few)
    assert [len(event.step.preview_png) for event in few] == [MEBIBYTE, MEBIBYTE]

"""The stream of one request, through the real servers: events, previews, timings, warnings, cancellation, bad input."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

import triptych
from tests.conftest import Served
from tests.e2e.serving import SIZE, difference, steps_and_result, wait_for
from triptych.errors import (
    AlreadyExistsError,
    CancelledError,
    DeadlineExceededError,
    InvalidArgumentError,
    NotFoundError,
)
from triptych.sdk.events import Queued, Result, Step
from triptych.v1 import generation_pb2, generation_pb2_grpc

REQUEST: dict[str, Any] = {
    "prompt": "a red circle",
    "checkpoint": "sd1",
    "scheduler": "euler",
    "num_inference_steps": 4,
    "seed": 3,
    **SIZE,
}
LONG = REQUEST | {"num_inference_steps": 200}


def test_the_stream_is_queued_steps_result(served: Served) -> None:
    queued, *steps, result = served.client.stream(**REQUEST, request_id="stream-1", num_images_per_prompt=2)
    assert queued == Queued("stream-1", "sd1", "euler", 4, 64, 64, [3])
    assert [(step.step, step.total) for step in steps if isinstance(step, Step)] == [(n, 4) for n in (1, 2, 3, 4)]
    assert isinstance(result, Result)
    assert (result.request_id, result.seeds, result.warnings) == ("stream-1", [3, 3], [])
    timings = result.timings
    assert timings.unet.calls == 4 and timings.unet.replicas == ["unet-0"]
    assert timings.vae.calls == 2 and timings.vae.replicas == ["vae-0"]
    assert 0 < timings.unet.engine_seconds <= timings.unet.wall_seconds <= timings.total_seconds
    assert all(isinstance(step, Step) and step.preview is None and step.batch_size >= 4 for step in steps)
    shares = [step.engine_share_seconds for step in steps if isinstance(step, Step)]
    assert min(shares) > 0 and sum(shares) == pytest.approx(timings.unet.engine_share_seconds, rel=1e-4)
    assert timings.unet.engine_share_seconds <= timings.unet.engine_seconds * 1.0001


def test_pndm_has_one_step_more(served: Served) -> None:
    steps, _ = steps_and_result(served.client, REQUEST | {"scheduler": "pndm"})
    assert [(step.step, step.total) for step in steps] == [(n, 5) for n in (1, 2, 3, 4, 5)]


@pytest.mark.parametrize("scheduler", ["ddim", "euler", "euler_ancestral", "dpmpp_2m", "pndm"])
def test_previews_are_pictures_and_change_nothing(served: Served, scheduler: str) -> None:
    request = REQUEST | {"num_inference_steps": 6, "scheduler": scheduler, "width": 96, "checkpoint": "sd2"}
    steps, with_previews = steps_and_result(served.client, request | {"preview_every_steps": 2})
    previews = {step.step: step.preview for step in steps}
    assert {number for number, preview in previews.items() if preview} == set(range(2, steps[-1].total, 2))
    assert all(preview.size == (96, 64) for preview in previews.values() if preview)
    assert difference(with_previews, served.client.generate(**request)) == 0


def test_random_seeds_are_told_and_make_the_picture_again(served: Served) -> None:
    request = REQUEST | {"seed": None, "num_images_per_prompt": 2}
    first = served.client.generate(**request)
    assert len(set(first.seeds)) == 2
    assert difference(first, served.client.generate(**request | {"seed": first.seeds})) == 0


def test_a_picture_does_not_depend_on_what_the_encoders_remember(served: Served, sdxl: Path) -> None:
    request = REQUEST | {"checkpoint": "forgetful", "negative_prompt": "blue"}
    served.client.register_checkpoint("forgetful", sdxl, engine="onnxruntime", load=True)
    try:
        both = served.client.generate(**request)
        served.client.unload_checkpoint("forgetful")
        served.client.generate(**request | {"prompt": "a star"})
        assert difference(served.client.generate(**request), both) == 0
    finally:
        served.client.unregister_checkpoint("forgetful")


def test_too_many_tokens_are_a_warning(served: Served) -> None:
    result = served.client.generate(**REQUEST | {"prompt": "red circle " * 60})
    assert len(result.warnings) == 1 and "circle" in result.warnings[0]


@pytest.mark.parametrize("prompt", ["", "a\x00b", "円 🟥\n\t", "<|endoftext|>", "%s {0}"])
def test_odd_prompts_are_prompts(served: Served, prompt: str) -> None:
    result = served.client.generate(**REQUEST | {"prompt": prompt, "negative_prompt": prompt})
    assert result.images[0].size == (64, 64)


BAD: list[tuple[str, dict[str, Any]]] = [
    ("width", {"width": 0}),
    ("width", {"width": 8}),
    ("width", {"width": 65}),
    ("width", {"width": 4096}),
    ("height", {"height": 2**32 - 8}),
    ("height", {"height": 68}),
    ("width", {"width": 512, "height": 256}),
    ("num_inference_steps", {"num_inference_steps": 0}),
    ("num_inference_steps", {"num_inference_steps": 201}),
    ("num_images_per_prompt", {"num_images_per_prompt": 0}),
    ("num_images_per_prompt", {"num_images_per_prompt": 9}),
    ("num_images_per_prompt", {"num_images_per_prompt": 2**32 - 1}),
    ("guidance_scale", {"guidance_scale": float("nan")}),
    ("guidance_scale", {"guidance_scale": float("inf")}),
    ("guidance_scale", {"guidance_scale": -1.0}),
    ("guidance_scale", {"guidance_scale": 1e30}),
    ("eta", {"eta": float("nan")}),
    ("eta", {"eta": 1.1}),
    ("eta", {"eta": -0.1}),
    ("seeds", {"seed": [1, 2]}),
    ("seeds", {"seed": [1, 2], "num_images_per_prompt": 3}),
    ("prompt", {"prompt": "x" * 10_001}),
    ("negative_prompt", {"negative_prompt": "x" * 10_001}),
    ("scheduler", {"scheduler": "no-such"}),
    ("request_id", {"request_id": "a b"}),
    ("request_id", {"request_id": "x" * 129}),
    ("checkpoint", {"checkpoint": ""}),
]


@pytest.mark.parametrize(("field", "change"), BAD, ids=[f"{field}-{number}" for number, (field, _) in enumerate(BAD)])
def test_bad_fields_are_named(served: Served, field: str, change: dict[str, Any]) -> None:
    events = served.client.stream(**REQUEST | change)
    with pytest.raises(InvalidArgumentError) as caught:
        next(events)
    assert caught.value.metadata["field"] == field
    assert caught.value.message.startswith(field)


def test_names_that_do_not_exist_come_with_those_that_do(served: Served) -> None:
    with pytest.raises(NotFoundError, match=r"'nope'.*sd1, .*sd2") as caught:
        served.client.generate(**REQUEST | {"checkpoint": "nope"})
    assert caught.value.metadata == {"field": "checkpoint"}
    with pytest.raises(InvalidArgumentError, match="euler_ancestral"):
        served.client.generate(**REQUEST | {"scheduler": "nope"})


@pytest.mark.parametrize("seed", [-1, 2**64, 1.5, [0, -1], "7"])
def test_bad_seeds_are_refused_by_the_client(served: Served, seed: Any) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        served.client.generate(**REQUEST | {"seed": seed})
    assert caught.value.metadata == {"field": "seed"}


def test_an_error_carries_error_info(served: Served) -> None:
    with grpc.insecure_channel(served.stack.address) as channel:
        stub = generation_pb2_grpc.GenerationServiceStub(channel)
        with pytest.raises(grpc.RpcError) as caught:
            list(stub.Generate(generation_pb2.GenerateRequest(checkpoint="sd1", width=65)))
    status = rpc_status.from_call(caught.value)
    info, bad_request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    assert status.details[0].Unpack(info) and status.details[1].Unpack(bad_request)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert (info.reason, info.domain, dict(info.metadata)) == ("INVALID_ARGUMENT", "triptych", {"field": "width"})
    assert bad_request.field_violations[0].field == "width"


def alone(served: Served) -> Result:
    return served.client.generate(**REQUEST)


def assert_nothing_left(served: Served, request_id: str) -> None:
    """The request is gone within moments, its id free, and the next request not slowed or changed."""

    def gone() -> bool:
        try:
            served.client.cancel(request_id)
        except NotFoundError:
            return True
        return False

    wait_for(gone, 30, f"the end of {request_id}")


def test_cancel_stops_within_a_step(served: Served) -> None:
    before = alone(served)
    steps = []
    with pytest.raises(CancelledError):
        for event in served.client.stream(**LONG, request_id="to-cancel"):
            if isinstance(event, Step):
                steps.append(event.step)
                if len(steps) == 3:
                    served.client.cancel("to-cancel")
    assert len(steps) < 100
    assert_nothing_left(served, "to-cancel")
    assert difference(before, alone(served)) == 0


def test_cancelling_twice_or_the_unknown_is_not_found(served: Served) -> None:
    with pytest.raises(NotFoundError) as caught:
        served.client.cancel("never-was")
    assert caught.value.metadata == {"field": "request_id"}


def test_closing_the_stream_stops_the_request(served: Served) -> None:
    before = alone(served)
    events = served.client.stream(**LONG, request_id="to-close")
    for event in events:
        if isinstance(event, Step) and event.step == 2:
            break
    events.close()
    assert_nothing_left(served, "to-close")
    assert difference(before, alone(served)) == 0


def test_a_client_that_goes_away_stops_its_request(served: Served) -> None:
    with triptych.Client(served.stack.address) as other:
        next(events := other.stream(**LONG, request_id="to-leave"))
        next(events)
    assert_nothing_left(served, "to-leave")


def test_a_deadline_stops_the_request(served: Served) -> None:
    with pytest.raises(DeadlineExceededError):
        served.client.generate(**LONG | {"num_images_per_prompt": 8}, request_id="too-late", timeout_s=1.0)
    assert_nothing_left(served, "too-late")


def test_a_cancelled_neighbour_changes_nothing(served: Served) -> None:
    request = REQUEST | {"num_inference_steps": 60}
    expected = served.client.generate(**request)
    results: list[Result] = []
    worker = threading.Thread(target=lambda: results.append(served.client.generate(**request)))
    neighbour = served.client.stream(**LONG | {"prompt": "blue star"}, request_id="neighbour")
    next(neighbour)
    worker.start()
    for event in neighbour:
        if isinstance(event, Step) and event.step == 10:
            break
    neighbour.close()
    worker.join(120)
    assert difference(expected, results[0]) <= 2
    assert_nothing_left(served, "neighbour")


def test_an_id_runs_once_at_a_time(served: Served) -> None:
    events = served.client.stream(**LONG, request_id="twice")
    next(events)
    with pytest.raises(AlreadyExistsError) as caught:
        served.client.generate(**REQUEST, request_id="twice")
    assert caught.value.metadata == {"field": "request_id"}
    next(events)
    events.close()
    assert_nothing_left(served, "twice")
    served.client.generate(**REQUEST, request_id="twice")

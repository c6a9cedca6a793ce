"""Two checkpoints for one picture, through the real servers; that it is diffusers' is tests/parity's to show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import triptych
from tests.conftest import Served
from tests.e2e.serving import SIZE, difference, steps_and_result, wait_for
from tests.loras import save_lora
from triptych.errors import CancelledError, InvalidArgumentError, NotFoundError
from triptych.sdk import Queued, Step

REQUEST: dict[str, Any] = {
    "prompt": "a red circle", "checkpoint": "sdxl", "refiner": "refiner", "refiner_start": 0.5, "seed": 3,
    "scheduler": "euler", "num_inference_steps": 10, **SIZE,
}  # fmt: skip


@pytest.fixture(scope="module")
def lora(served: Served, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One that fits the base alone."""
    path = tmp_path_factory.mktemp("loras") / "base.safetensors"
    served.client.add_lora("base", save_lora(path, checkpoints["sdxl"], 1))
    yield "base"
    served.client.remove_lora("base")


def test_steps_are_counted_through_both(served: Served) -> None:
    # A prompt that no other test has, for the encoders remember those.
    asked = REQUEST | {"prompt": "a red circle of ten steps", "preview_every_steps": 4, "num_images_per_prompt": 2}
    steps, result = steps_and_result(served.client, asked)
    assert [(step.step, step.total) for step in steps] == [(number, 10) for number in range(1, 11)]
    timesteps = [step.timestep for step in steps]
    assert timesteps == sorted(timesteps, reverse=True) and len(set(timesteps)) == 10
    assert [step.step for step in steps if step.preview] == [4, 8]
    timings = result.timings
    assert (timings.unet.calls, timings.encoder.calls) == (10, 3) and result.warnings == []
    shares = [step.engine_share_seconds for step in steps]
    assert min(shares) > 0 and sum(shares) == pytest.approx(timings.unet.engine_share_seconds, rel=1e-4)
    assert "Refiner: refiner, Refiner switch at: 0.5" in str(result.images[0].info["parameters"])
    queued = next(event for event in served.client.stream(**REQUEST) if isinstance(event, Queued))
    assert (queued.checkpoint, queued.num_inference_steps) == ("sdxl", 10)


def test_the_last_steps_are_the_refiners(served: Served) -> None:
    early, late, alone = (
        served.client.generate(**REQUEST | changed)
        for changed in ({}, {"refiner_start": 0.9}, {"refiner": None, "refiner_start": None})
    )
    assert min(difference(early, alone), difference(late, alone), difference(early, late)) > 2
    default = served.client.generate(**REQUEST | {"refiner_start": None})
    assert difference(default, served.client.generate(**REQUEST | {"refiner_start": 0.8})) == 0


def test_a_checkpoint_may_be_its_own_refiner(served: Served) -> None:
    """A solver without memory notices nothing; one with memory begins anew, as in diffusers."""
    request = REQUEST | {"negative_prompt": "blue"}
    alone = served.client.generate(**request | {"refiner": None, "refiner_start": None})
    assert difference(served.client.generate(**request | {"refiner": "sdxl"}), alone) == 0


def test_both_checkpoints_are_loaded_for_a_request_and_kept_for_it(served: Served) -> None:
    client = served.client
    before = client.generate(**REQUEST)
    for name in ("sdxl", "refiner"):
        client.unload_checkpoint(name)
    assert difference(client.generate(**REQUEST), before) == 0
    assert {each.state for each in client.checkpoints() if each.name in ("sdxl", "refiner")} == {"loaded"}


def test_a_lora_that_fits_one_changes_that_one(served: Served, lora: str) -> None:
    result = served.client.generate(**REQUEST, loras=[lora])
    assert result.warnings == ["lora 'base' does not fit the checkpoint 'refiner' and changes nothing there"]
    assert difference(result, served.client.generate(**REQUEST)) > 2
    alone = {**REQUEST, "refiner": "sdxl", "loras": [lora]}
    both = served.client.generate(**alone, negative_prompt="")
    once = served.client.generate(**alone | {"refiner": None, "refiner_start": None}, negative_prompt="")
    assert difference(both, once) == 0


def test_a_request_ends_within_either_pass(served: Served) -> None:
    for last in (20, 80):
        events = served.client.stream(**REQUEST | {"num_inference_steps": 100}, request_id=f"refined-{last}")
        with pytest.raises(CancelledError):
            for event in events:
                if isinstance(event, Step) and event.step == last:
                    served.client.cancel(f"refined-{last}")
    wait_for(lambda: served.client.generate(**REQUEST | {"num_inference_steps": 2}), 60, "a picture")


async def test_the_asyncio_client_refines_too(served: Served) -> None:
    async with triptych.AsyncClient(served.stack.address) as client:
        assert difference(await client.generate(**REQUEST), served.client.generate(**REQUEST)) == 0


@pytest.mark.parametrize(
    ("changed", "error", "field"),
    [
        ({"refiner": "nobody"}, NotFoundError, "refiner"),
        ({"refiner": "sd1"}, InvalidArgumentError, "refiner"),
        ({"checkpoint": "sd1"}, InvalidArgumentError, "refiner"),
        ({"refiner": None}, InvalidArgumentError, "refiner_start"),
        ({"refiner_start": 1.0}, InvalidArgumentError, "refiner_start"),
        ({"checkpoint": "refiner", "refiner": None, "refiner_start": None}, InvalidArgumentError, "images"),
        ({"aesthetic_score": 6.0, "refiner": "sdxl"}, InvalidArgumentError, "aesthetic_score"),
    ],
)
def test_what_is_wrong_is_named(served: Served, changed: dict[str, Any], error: type[Exception], field: str) -> None:
    with pytest.raises(error) as caught:
        served.client.generate(**REQUEST | changed)
    assert caught.value.metadata["field"] == field  # type: ignore[attr-defined]

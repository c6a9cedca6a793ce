"""Variations through the real servers; that text-to-image's are A1111's is tests/parity's to show."""

from __future__ import annotations

from typing import Any

import pytest

import triptych
from tests.conftest import Served
from tests.e2e.requests.test_image_to_image import noise
from tests.e2e.serving import SIZE, difference
from triptych.errors import InvalidArgumentError

REQUEST: dict[str, Any] = {
    "prompt": "a red circle", "checkpoint": "sd1", "scheduler": "ddim", "num_inference_steps": 4, "seed": 3,
}  # fmt: skip


@pytest.mark.parametrize("rest", [SIZE, {"image": noise(64, 64)}, SIZE | {"hires": {"strength": 0.5}}])
def test_strength_leads_from_one_seed_to_the_other(served: Served, rest: dict[str, Any]) -> None:
    """Of image-to-image to another picture than the other seed's, whose own draws come before its noise."""
    none, some, all_ = (
        served.client.generate(**REQUEST, **rest, subseed=11, subseed_strength=strength) for strength in (0.0, 0.3, 1.0)
    )
    assert difference(none, served.client.generate(**REQUEST, **rest)) == 0
    assert min(difference(none, some), difference(some, all_), difference(none, all_)) > 2
    if "image" not in rest:
        assert difference(all_, served.client.generate(**REQUEST | {"seed": 11}, **rest)) <= 1


def test_the_pictures_of_a_batch_are_those_that_each_would_be(served: Served) -> None:
    request = REQUEST | {"subseed_strength": 0.2, "seed_resize_from": (48, 80)} | SIZE
    batch = served.client.generate(**request | {"seed": [3, 3, 4]}, subseed=[11, 12, 11], num_images_per_prompt=3)
    alone = [served.client.generate(**request | {"seed": a}, subseed=b) for a, b in ((3, 11), (3, 12), (4, 11))]
    assert [image.tobytes() for image in batch.images] == [each.images[0].tobytes() for each in alone]
    assert "Variation seed: 12" in str(batch.images[1].info["parameters"])


async def test_a_random_subseed_is_told(served: Served) -> None:
    async with triptych.AsyncClient(served.stack.address) as client:
        result = await client.generate(**REQUEST, **SIZE, subseed_strength=0.2)
    text = str(result.images[0].info["parameters"])
    told = int(text.partition("Variation seed: ")[2].partition(",")[0])
    again = served.client.generate(**REQUEST, **SIZE, subseed=told, subseed_strength=0.2)
    assert again.pngs == result.pngs


def test_what_is_wrong_is_named(served: Served) -> None:
    for changed, field in (({"subseed": 1}, "subseeds"), ({"seed_resize_from": (60, 64)}, "seed_resize_from")):
        with pytest.raises(InvalidArgumentError) as caught:
            served.client.generate(**REQUEST, **SIZE, **changed)
        assert caught.value.metadata["field"] == field

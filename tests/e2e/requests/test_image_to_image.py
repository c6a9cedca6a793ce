"""Image-to-image through the real servers; that its pictures are diffusers' is tests/parity's to show."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import triptych
from tests.conftest import Served
from tests.e2e.serving import SIZE, at_once, difference, steps_and_result
from triptych.errors import InvalidArgumentError
from triptych.sdk import Queued

REQUEST: dict[str, Any] = {
    "prompt": "a red circle", "checkpoint": "sd1", "scheduler": "ddim", "num_inference_steps": 10, "seed": 3,
}  # fmt: skip


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def apart(served: Served, checkpoints: dict[str, Path]) -> Iterator[str]:
    """A checkpoint that nobody else asks anything of."""
    served.client.register_checkpoint("image-to-image", checkpoints["sd1"], load=True)
    yield "image-to-image"
    served.client.unregister_checkpoint("image-to-image")


def held(client: triptych.Client, checkpoint: str) -> set[str]:
    models = [model for replica in client.server_info().replicas for model in replica.models]
    return {model.rpartition(".")[2] for model in models if model.startswith(f"{checkpoint}.")}


def test_the_encoder_comes_with_the_first_image_and_goes_with_the_checkpoint(served: Served, apart: str) -> None:
    loaded = held(served.client, apart)
    assert loaded == {"encoder", "unet", "vae_decoder"}
    served.client.generate(**REQUEST | {"checkpoint": apart}, **SIZE)
    assert held(served.client, apart) == loaded
    served.client.generate(**REQUEST | {"checkpoint": apart}, image=noise(64, 64))
    assert held(served.client, apart) == loaded | {"vae_encoder"}
    served.client.unload_checkpoint(apart)
    assert held(served.client, apart) == set()


def test_only_the_last_steps_are_done(served: Served) -> None:
    for scheduler, strength, total in (("ddim", 0.55, 5), ("euler", 1.0, 10), ("pndm", 0.5, 6)):
        request = REQUEST | {"scheduler": scheduler, "strength": strength, "image": noise(64, 64)}
        steps, result = steps_and_result(served.client, request)
        assert [(step.step, step.total) for step in steps] == [(number, total) for number in range(1, total + 1)]
        assert f"Denoising strength: {strength:g}" in str(result.images[0].info["parameters"])
        assert result.timings.vae.calls == 2


def test_a_size_that_is_asked_for_is_what_the_image_is_made(served: Served) -> None:
    image = noise(150, 90)
    asked = served.client.generate(**REQUEST, image=image, width=96, height=72)
    resized = served.client.generate(**REQUEST, image=image.resize((96, 72), Image.Resampling.LANCZOS))
    assert asked.images[0].size == (96, 72) and difference(asked, resized) == 0
    queued = next(event for event in served.client.stream(**REQUEST, image=image) if isinstance(event, Queued))
    assert (queued.width, queued.height) == (144, 88)


def test_images_of_any_kind_are_the_same_image(served: Served, tmp_path: Path) -> None:
    noise(64, 64).save(tmp_path / "image.png")
    expected = served.client.generate(**REQUEST, image=noise(64, 64))
    for image in (tmp_path / "image.png", str(tmp_path / "image.png"), png(noise(64, 64)), [noise(64, 64)]):
        assert difference(served.client.generate(**REQUEST, image=image), expected) == 0


async def test_the_asyncio_client_sends_images_too(served: Served) -> None:
    expected = served.client.generate(**REQUEST, image=[noise(64, 64), noise(64, 64, 1)], strength=0.5)
    async with triptych.AsyncClient(served.stack.address) as client:
        result = await client.generate(**REQUEST, image=[noise(64, 64), noise(64, 64, 1)], strength=0.5)
    assert len(result.images) == 2 and difference(result, expected) == 0


def test_requests_with_images_and_without_share_batches(served: Served) -> None:
    """Whatever company a request has, it is its own picture."""
    requests = [
        REQUEST | {"image": noise(64, 64, seed), "strength": 0.9, "seed": seed} if seed % 2 else REQUEST | SIZE
        for seed in range(4)
    ]
    alone = [served.client.generate(**request) for request in requests]
    together = at_once(served.client, requests)
    assert [ours.pngs for _, ours in together] == [theirs.pngs for theirs in alone]


def test_a_file_larger_than_grpcs_own_limit_is_taken(served: Served) -> None:
    data = png(noise(1300, 1300))
    assert len(data) > 4 << 20
    assert served.client.generate(**REQUEST, image=data, **SIZE).images[0].size == (64, 64)


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"image": b"no picture"}, "images[0]"),
        ({"image": [noise(64, 64), png(noise(64, 64))[:-500]]}, "images[1]"),
        ({"image": bytes(33 << 20)}, "images"),
        ({"image": noise(64, 64), "strength": 0.05}, "strength"),
        ({"image": [noise(64, 64)] * 3, "num_images_per_prompt": 2}, "images"),
        ({"strength": 0.5}, "strength"),
        ({"image": noise(7, 64)}, "width"),
    ],
    ids=["no-picture", "cut-off", "too-many-bytes", "no-step", "count", "no-image", "too-small"],
)
def test_what_is_wrong_is_named(served: Served, request_: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        served.client.generate(**REQUEST | request_)
    assert caught.value.metadata["field"] == field


def test_of_several_pictures_in_one_file_the_result_warns(served: Served) -> None:
    stream = io.BytesIO()
    noise(64, 64).save(stream, "GIF", save_all=True, append_images=[noise(64, 64, 1)])
    result = served.client.generate(**REQUEST, image=stream.getvalue())
    assert result.warnings == ["images[0] holds several pictures; the first is taken"]

"""Hires fix through the real servers; that its pictures are diffusers' is tests/parity's to show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import triptych
from tests.conftest import Served
from tests.e2e.serving import SIZE, at_once, difference, steps_and_result
from tests.loras import save_lora
from triptych.errors import InvalidArgumentError
from triptych.sdk import Hires

REQUEST: dict[str, Any] = {
    "prompt": "a red circle", "checkpoint": "sd1", "scheduler": "ddim", "num_inference_steps": 6, "seed": 3, **SIZE,
}  # fmt: skip


def test_steps_are_counted_through_both_passes(served: Served) -> None:
    request = REQUEST | {"preview_every_steps": 5, "hires": Hires(scale=1.5, strength=0.5, num_inference_steps=8)}
    steps, result = steps_and_result(served.client, request)
    assert [(step.step, step.total) for step in steps] == [(number, 10) for number in range(1, 11)]
    assert [image.size for image in result.images] == [(96, 96)]
    previews = {step.step: step.preview.size for step in steps if step.preview}
    assert previews == {5: (64, 64)} and result.warnings == []
    text = str(result.images[0].info["parameters"])
    assert "Size: 64x64" in text and "Hires upscale: 1.5, Hires steps: 8, Hires upscaler: latent" in text


@pytest.mark.parametrize("upscaler", ["lanczos", "nearest"])
@pytest.mark.parametrize("seed", [3, [3, 4]])
def test_it_is_what_three_requests_would_make(served: Served, upscaler: str, seed: Any) -> None:
    """A picture, enlarged, then image-to-image with the same seed: to the byte."""
    request = REQUEST | {"seed": seed, "num_images_per_prompt": 2}
    once = served.client.generate(**request, hires={"scale": 1.25, "upscaler": upscaler, "strength": 0.5})
    first = served.client.generate(**request)
    larger = [image.resize((80, 80), Image.Resampling[upscaler.upper()]) for image in first.images]
    request = {name: value for name, value in request.items() if name not in SIZE}
    second = served.client.generate(**request, image=larger, strength=0.5)
    assert [image.tobytes() for image in once.images] == [image.tobytes() for image in second.images]


def test_each_upscaler_makes_a_picture_of_its_own(served: Served) -> None:
    info = served.client.server_info()
    names = [*info.latent_upscalers, *info.upscalers]
    made = [served.client.generate(**REQUEST, hires=Hires(scale=1.5, upscaler=name, strength=0.5)) for name in names]
    assert names[0] == "latent" and "lanczos" in names
    assert {image.size for each in made for image in each.images} == {(96, 96)}
    # Bilinear upsampling is the same with antialiasing, but for its rounding.
    assert len({each.images[0].tobytes() for each in made}) >= len(names) - 1
    again = served.client.generate(**REQUEST, hires={"scale": 1.5, "strength": 0.5})
    assert difference(again, made[0]) == 0


def test_with_a_refiner_it_is_what_two_requests_make(served: Served) -> None:
    """The base draws the small picture alone, and the refiner finishes the large one."""
    request = REQUEST | {"checkpoint": "sdxl", "negative_prompt": "blue"}
    refined = {"refiner": "refiner", "refiner_start": 0.5}
    once = served.client.generate(**request, **refined, hires=Hires(upscaler="bicubic", strength=0.9))
    larger = served.client.generate(**request).images[0].resize((128, 128), Image.Resampling.BICUBIC)
    request = {name: value for name, value in request.items() if name not in SIZE}
    assert difference(once, served.client.generate(**request, **refined, image=larger, strength=0.9)) == 0


def test_after_image_to_image(served: Served) -> None:
    image = Image.effect_noise((64, 64), 90)
    hires = Hires(upscaler="lanczos", strength=0.5)
    once = served.client.generate(**REQUEST, image=image, strength=0.6, hires=hires)
    first = served.client.generate(**REQUEST, image=image, strength=0.6)
    larger = first.images[0].resize((128, 128), Image.Resampling.LANCZOS)
    request = {name: value for name, value in REQUEST.items() if name not in SIZE}
    assert difference(once, served.client.generate(**request, image=larger, strength=0.5)) == 0


def test_a_lora_is_in_both_passes(served: Served, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    served.client.add_lora("hires", save_lora(tmp_path / "a.safetensors", checkpoints["sd1"], 1))
    request, hires = REQUEST | {"loras": ["hires"]}, Hires(upscaler="lanczos", strength=0.5)
    once = served.client.generate(**request, hires=hires)
    larger = served.client.generate(**request).images[0].resize((128, 128), Image.Resampling.LANCZOS)
    request = {name: value for name, value in request.items() if name not in SIZE}
    assert difference(once, served.client.generate(**request, image=larger, strength=0.5)) == 0
    served.client.remove_lora("hires")


def test_in_company_it_is_the_same_to_the_byte(served: Served) -> None:
    requests = [REQUEST | {"seed": seed, "hires": Hires(strength=0.5)} for seed in range(3)] + [REQUEST]
    alone = [served.client.generate(**request) for request in requests]
    assert [ours.pngs for _, ours in at_once(served.client, requests)] == [theirs.pngs for theirs in alone]


async def test_the_asyncio_client_too(served: Served) -> None:
    async with triptych.AsyncClient(served.stack.address) as client:
        result = await client.generate(**REQUEST, hires=triptych.Hires(strength=0.5))
    assert result.pngs == served.client.generate(**REQUEST, hires=Hires(strength=0.5)).pngs


@pytest.mark.parametrize(
    ("hires", "field"),
    [
        ({"upscaler": "r-esrgan"}, "hires.upscaler"),
        ({"scale": 8.0}, "hires.scale"),
        ({"strength": 0.01}, "hires.strength"),
    ],
)
def test_what_is_wrong_is_named_before_the_first_step(served: Served, hires: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        next(served.client.stream(**REQUEST, hires=hires))
    assert caught.value.metadata["field"] == field

"""Inpainting and outpainting through the real servers; that its pictures are diffusers' is tests/parity's to show."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import triptych
from tests.conftest import Served
from tests.e2e.requests.test_image_to_image import noise, png
from tests.e2e.serving import SIZE, at_once, difference, steps_and_result
from triptych import demo
from triptych.errors import InvalidArgumentError

REQUEST: dict[str, Any] = {
    "prompt": "a red circle", "checkpoint": "sd1", "scheduler": "ddim", "num_inference_steps": 4, "seed": 3,
}  # fmt: skip
IMAGE = noise(64, 64)


def mask(width: int = 64, height: int = 64) -> Image.Image:
    """White in the middle."""
    pixels = np.zeros((height, width), np.uint8)
    pixels[height // 4 : -(height // 4), width // 4 : -(width // 4)] = 255
    return Image.fromarray(pixels)


MASKED = REQUEST | {"image": IMAGE, "mask_image": mask()}


def kept(image: Image.Image, original: Image.Image, black: Image.Image) -> bool:
    """Whether not a pixel is another where the mask is black."""
    same = (np.asarray(image) == np.asarray(original)).all(axis=-1)
    return bool(same[np.asarray(black) == 0].all()) and not same.all()


@pytest.mark.parametrize("checkpoint", ["sd1", "sd2-torch", "sdxl"])
def test_outside_the_mask_every_pixel_is_the_originals(served: Served, checkpoint: str) -> None:
    request = MASKED | {"checkpoint": checkpoint}
    assert kept(served.client.generate(**request).images[0], IMAGE, mask())
    assert not kept(served.client.generate(**request, paste_original=False).images[0], IMAGE, mask())


def test_a_part_is_laid_on_the_image_as_large_as_that_is(served: Served) -> None:
    image, black = noise(150, 90), Image.new("L", (150, 90))
    black.paste(mask(20, 20), (100, 40))
    result = served.client.generate(**REQUEST, image=image, mask_image=black, padding_mask_crop=6)
    assert result.images[0].size == (150, 90) and kept(result.images[0], image, black)


def test_masks_of_any_kind_are_the_same_mask(served: Served, tmp_path: Path) -> None:
    mask().save(tmp_path / "mask.png")
    expected = served.client.generate(**MASKED)
    others: list[dict[str, Any]] = [
        {"mask_image": each}
        for each in (tmp_path / "mask.png", png(mask()), [mask().convert("RGB")], mask().convert("1"))
    ]
    inverse = Image.eval(mask(), lambda value: 255 - value)
    for other in [*others, {"mask_image": inverse, "invert_mask": True}]:
        assert difference(served.client.generate(**MASKED | other), expected) == 0


async def test_the_asyncio_client_sends_masks_too(served: Served) -> None:
    async with triptych.AsyncClient(served.stack.address) as client:
        assert difference(await client.generate(**MASKED), served.client.generate(**MASKED)) == 0


def test_what_lies_under_the_mask_at_first_shows(served: Served) -> None:
    contents = (None, "fill", "latent_noise", "latent_nothing")
    results = [served.client.generate(**MASKED, strength=0.6, masked_content=each) for each in contents]
    assert all(kept(result.images[0], IMAGE, mask()) for result in results)
    assert len({result.images[0].tobytes() for result in results}) == 4


def test_a_soft_mask_fades_into_the_original(served: Served) -> None:
    soft = np.asarray(served.client.generate(**MASKED, mask_blur=2).images[0], np.int16)
    hard = np.asarray(served.client.generate(**MASKED).images[0], np.int16)
    own = np.asarray(IMAGE, np.int16)
    assert (soft[:4] == own[:4]).all() and (hard[14] == own[14]).all() and (soft[14, 20:40] != own[14, 20:40]).any()


def test_requests_with_masks_and_without_share_batches(served: Served) -> None:
    requests = [MASKED | {"seed": 1}, REQUEST | SIZE, MASKED | {"strength": 0.7}, REQUEST | {"image": IMAGE}]
    alone = [served.client.generate(**request) for request in requests]
    assert [ours.pngs for _, ours in at_once(served.client, requests)] == [theirs.pngs for theirs in alone]


def test_a_refiner_keeps_what_is_outside_too(served: Served) -> None:
    request = MASKED | {"checkpoint": "sdxl", "refiner": "refiner", "num_inference_steps": 6}
    steps, result = steps_and_result(served.client, request | {"paste_original": False})
    own = served.client.generate(**REQUEST | {"checkpoint": "sdxl"}, image=IMAGE, strength=0.25).images[0]
    outside = np.asarray(mask()) == 0
    assert steps[-1].total == 5 and kept(served.client.generate(**request).images[0], IMAGE, mask())
    # What was never drawn anew is what the VAE makes of the image, as nearly as where all of it is drawn a little.
    assert np.abs(np.asarray(result.images[0], np.int16) - np.asarray(own, np.int16))[outside].mean() < 64


@pytest.mark.parametrize("sides", [(16, 0, 0, 0), (0, 0, 9, 0), (5, 6, 7, 8)])
def test_new_sides_leave_the_image_as_it_is(served: Served, sides: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = sides
    image = noise(40, 53)
    for fill in ("copy", "reflect", "noise"):
        hard = served.client.generate(**REQUEST, image=image, expand=sides, expand_fill=fill, mask_blur=0).images[0]
        assert hard.size == (40 + left + right, 53 + top + bottom)
        assert (np.asarray(hard.crop((left, top, left + 40, top + 53))) == np.asarray(image)).all()


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"mask_image": mask()}, "mask_images"),
        ({"image": IMAGE, "mask_image": b"no picture"}, "mask_images[0]"),
        ({"image": IMAGE, "mask_image": [mask(), png(mask())[:-40]], "num_images_per_prompt": 2}, "mask_images[1]"),
        ({"image": IMAGE, "mask_image": Image.new("L", (64, 64))}, "mask_images[0]"),
        ({"image": IMAGE, "mask_image": mask(), "strength": float("nan")}, "strength"),
        ({"image": IMAGE, "mask_blur": 4}, "mask_blur"),
        ({"image": IMAGE, "expand": (8, 0, 0, 0), "width": 72}, "width"),
    ],
)
def test_what_is_wrong_is_named(served: Served, request_: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        served.client.generate(**REQUEST | request_)
    assert caught.value.metadata["field"] == field


@pytest.mark.parametrize("count", [60, pytest.param(2_000, marks=pytest.mark.slow)])
def test_whatever_pictures_come_it_is_answered(served: Served, count: int) -> None:
    """Each is drawn, or refused by a field's name; the next request is served."""
    before = served.client.generate(**MASKED)
    refused = 0
    for index in range(count):
        request = strange(random.Random(index))
        try:
            assert served.client.generate(**REQUEST | {"num_inference_steps": 1}, **request, timeout_s=60).images
        except InvalidArgumentError as error:
            refused += 1
            assert error.metadata["field"]
    assert 0 < refused < count
    assert served.client.generate(**MASKED).pngs == before.pngs


def strange(draw: random.Random) -> dict[str, Any]:
    """Pictures and masks of odd shapes, kinds and contents, whole, cut off or damaged, with odd values beside them."""
    size = draw.choice([(1, 1), (1, 20_000), (20_000, 1), (64, 64), (75, 101), (16, 8), (3_000, 5)])
    modes, extremes = ["1", "L", "LA", "P", "RGB", "RGBA"], [0, 1, 7, 4096, 2**32 - 1]
    image = noise(*size, seed=draw.randrange(9)).convert(draw.choice(modes))
    own = draw.choice([size, (64, 64), (1, 1), (5, 900)])
    masks = [Image.new("L", own), Image.new("L", own, "white"), noise(*own).convert(draw.choice(modes))]
    request: dict[str, Any] = {
        "image": _damaged(draw, png(image)),
        "mask_image": _damaged(draw, png(draw.choice(masks))),
    }
    options: dict[str, Any] = {
        "strength": draw.choice([0.0, 1.0, 0.9999, float("nan"), float("inf"), -1.0]),
        "padding_mask_crop": draw.choice(extremes),
        "mask_blur": draw.choice([*extremes, 256]),
        "masked_content": draw.choice(["fill", "latent_noise", "latent_nothing", "\0"]),
        "invert_mask": draw.random() < 0.5,
        "paste_original": draw.random() < 0.5,
        "expand": tuple(draw.choice([0, 1, 8, 13, 2**32 - 1]) for _ in range(4)),
        "expand_fill": draw.choice(["copy", "reflect", "noise", "x"]),
        **SIZE,
    }
    request |= {name: options[name] for name in draw.sample(sorted(options), draw.randrange(4))}
    return request if draw.random() < 0.9 else {name: value for name, value in request.items() if name != "image"}


def _damaged(draw: random.Random, data: bytes) -> bytes:
    match draw.randrange(6):
        case 0:
            return data[: draw.randrange(len(data))]
        case 1:
            at = draw.randrange(len(data))
            return data[:at] + draw.randbytes(1) + data[at + 1 :]
    return data


@pytest.fixture
def seen(served: Served) -> Iterator[str]:
    """The demo checkpoint, whose pictures show something."""
    served.client.register_checkpoint("seen", demo.checkpoint_path(), load=True)
    yield "seen"
    served.client.unregister_checkpoint("seen")


@pytest.mark.slow
@pytest.mark.parametrize("axis", [0, 1])
def test_no_seam_shows_where_new_sides_begin(served: Served, seen: str, axis: int) -> None:
    """Over 50 seeds of the demo checkpoint: across the seam lines differ as those beside it do."""
    across, beside = [], []
    sides = (32, 0, 32, 0) if axis else (0, 32, 0, 32)
    colours = ("red", "green", "blue", "yellow", "white")
    for seed in range(50):
        prompt = f"a {colours[seed % 4]} star on a {colours[seed % 4 + 1]} background"
        request = {
            "prompt": prompt,
            "checkpoint": seen,
            "scheduler": "dpmpp_2m",
            "num_inference_steps": 20,
            "seed": seed,
        }
        image = served.client.generate(**request).images[0]
        larger = served.client.generate(**request, image=image, expand=sides, expand_fill="noise").images[0]
        lines = np.moveaxis(np.asarray(larger, np.float64), axis, 0)
        changes = np.abs(np.diff(lines, axis=0)).mean(axis=(1, 2))
        for seam in (31, 31 + 128):
            across.append(changes[seam])
            beside.append((changes[seam - 1] + changes[seam + 1]) / 2)
    print(f"across {np.mean(across):.3f}, beside {np.mean(beside):.3f}, {np.mean(across) / np.mean(beside):.3f} times")
    assert np.mean(across) <= 1.5 * np.mean(beside)

"""Images, masks and sides of any size and look: refused by a field's name, or canvases that fit each other."""

from __future__ import annotations

import asyncio
import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st
from PIL import Image

from tests.fuzzing import fuzzed
from tests.orchestrator.jobs.test_pictures import file
from triptych.checkpoint import Checkpoint
from triptych.errors import InvalidArgumentError
from triptych_orchestrator.jobs.asked import Asked
from triptych_orchestrator.jobs.job import Job
from triptych_orchestrator.jobs.pictures import PictureReader
from triptych_orchestrator.jobs.tasks.inpainting import EXPAND_FILLS, MASKED_CONTENTS, InpaintAsked
from triptych_orchestrator.jobs.validation import resolve
from triptych_orchestrator.pipeline.inpainting import laid_on
from triptych_orchestrator.pixels.borders import Sides
from triptych_orchestrator.settings import Limits

LIMITS = Limits(max_pixels=160 * 160, max_image_pixels=200 * 200)
FIELDS = {
    "images", "mask_images", "padding_mask_crop", "expand", "expand_fill", "mask_blur", "masked_content", "strength",
    "width", "height", "size", "num_images_per_prompt", "image_format",
}  # fmt: skip


def mostly(*usual: Any, rarely: Sequence[Any]) -> st.SearchStrategy[Any]:
    """Requests of which everything is odd are refused for the first of it."""
    return st.sampled_from([*usual * (8 * len(rarely) // len(usual)), *rarely])


ODD_SIZES = [(1, 1), (1, 20_000), (20_000, 1), (3, 8_000), (160, 160), (7, 9), (8, 129)]
SIZES = st.one_of(
    mostly((64, 64), (72, 64), (40, 51), rarely=ODD_SIZES), st.tuples(st.integers(1, 160), st.integers(1, 160))
)
LOOKS = ("empty", "full", "one pixel", "grey", "half", "noise", "transparent")


@functools.cache
def opened(path: Path) -> Checkpoint:
    return Checkpoint.open(path)


@st.composite
def masks(draw: st.DrawFn) -> bytes:
    (width, height), look = draw(SIZES), draw(mostly(*LOOKS[1:], rarely=LOOKS[:1]))
    shades = np.zeros((height, width), np.uint8)
    match look:
        case "full":
            shades[:] = 255
        case "one pixel":
            shades[draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))] = 255
        case "grey":
            shades[:] = draw(st.sampled_from([1, 127, 128]))
        case "half":
            shades[:, width // 2 :] = 255
        case "noise":
            shades = np.random.default_rng(width).integers(0, 256, shades.shape, np.uint8)
        case "transparent":
            image = Image.new("RGBA", (width, height), "white")
            image.putalpha(draw(st.sampled_from([0, 100, 255])))
            return file(image)
    return file(Image.fromarray(shades).convert(draw(st.sampled_from(["L", "1", "P", "RGB"]))))


@st.composite
def inpaintings(draw: st.DrawFn) -> Asked:
    images = tuple(file(Image.effect_noise(size, 90)) for size in draw(st.lists(SIZES, min_size=1, max_size=2)))
    expand = draw(
        mostly(None, Sides(9, 0, 5, 0), Sides(0, 8, 0, 1), rarely=[Sides(0, 0, 0, 0), Sides(0, 0, 0, 2**32 - 1)])
    )
    inpaint = InpaintAsked(
        tuple(draw(st.lists(masks(), min_size=expand is None, max_size=len(images)))),
        padding_mask_crop=None if expand else draw(mostly(None, 0, 32, rarely=[1, 2**32 - 1])),
        mask_blur=draw(mostly(None, 1, 4, rarely=[0, 30, 256, 257])),
        masked_content="" if expand else draw(mostly("", *MASKED_CONTENTS, rarely=["other"])),
        invert_mask=draw(mostly(False, rarely=[True])),
        paste_original=draw(st.sampled_from([None, True, False])),
        expand=expand,
        expand_fill=draw(mostly("", *EXPAND_FILLS, rarely=["other"])) if expand else "",
    )
    strength = draw(mostly(None, 1.0, 0.5, rarely=[float("nan"), float("inf"), -1.0, 0.0]))
    size = {side: draw(mostly(None, 64, 72, rarely=[8, 120, 7])) for side in ("width", "height") if not expand}
    return Asked("a", "sd1", "a fox", images=images, inpaint=inpaint, strength=strength, **size)


def check(asked: Asked, checkpoint: Checkpoint) -> Job | None:
    """The job; None for a refusal, which names a field of the request."""
    try:
        job = asyncio.run(resolve(asked, checkpoint, LIMITS, PictureReader(LIMITS)))
    except InvalidArgumentError as error:
        field = str(error.metadata["field"])
        assert field.split("[")[0] in FIELDS and error.message.startswith(field) and len(error.message) < 1000
        return None
    check_canvases(job)
    return job


def check_canvases(job: Job) -> None:
    """All are of the drawn size; what is laid is as large as what it is laid on, and changes nothing that is kept."""
    assert job.inpaint
    pixels = job.width * job.height
    assert pixels <= LIMITS.max_pixels and not (job.width % 8 or job.height % 8)
    assert {len(image) for image in job.images} == {3 * pixels} and {len(mask) for mask in job.inpaint.masks} <= {
        pixels
    }
    assert len(job.images) in (1, job.num_images_per_prompt)
    drawn = [np.full((job.height, job.width, 3), 77, np.uint8)] * job.num_images_per_prompt
    for laid, original in zip(
        asyncio.run(laid_on(drawn, job.inpaint.originals)) if job.inpaint.originals else (),
        job.inpaint.originals * job.num_images_per_prompt,
        strict=False,
    ):
        size = original.cut.size if original.cut else (original.width, original.height)
        assert laid.shape == (size[1], size[0], 3)
        if original.pixels and not original.cut:
            kept = np.frombuffer(original.shares, np.uint8) == 0
            below = np.frombuffer(original.pixels, np.uint8).reshape(-1, 3)
            assert np.array_equal(laid.reshape(-1, 3)[kept], below[kept])


@pytest.fixture(scope="module")
def taken() -> Iterator[Counter[bool]]:
    """How many were taken, lest all be refused."""
    count = Counter[bool]()
    yield count
    assert count[True] > count.total() / 4


def check_one(checkpoints: dict[str, Path], taken: Counter[bool], asked: Asked) -> None:
    taken[check(asked, opened(checkpoints["sd1"])) is not None] += 1


@pytest.mark.parametrize("look", ["empty", "full"])
def test_nothing_and_everything(checkpoints: dict[str, Path], look: str) -> None:
    mask = file(Image.new("L", (64, 64), "white" if look == "full" else "black"))
    asked = Asked("a", "sd1", "a fox", images=(mask,), inpaint=InpaintAsked((mask,)))
    job = check(asked, opened(checkpoints["sd1"]))
    assert (job is not None) == (look == "full")


def test_a_part_of_which_the_images_size_leaves_nothing_is_refused(checkpoints: dict[str, Path]) -> None:
    dot = Image.new("1", (4_000, 4_000))
    dot.putpixel((7, 7), 1)
    inpaint = InpaintAsked((file(dot),), padding_mask_crop=8)
    asked = Asked("a", "sd1", "a fox", images=(file(Image.new("RGB", (64, 64))),), inpaint=inpaint)
    with pytest.raises(InvalidArgumentError, match="is so fine that nothing is left of it") as caught:
        asyncio.run(resolve(asked, opened(checkpoints["sd1"]), Limits(), PictureReader(Limits())))
    assert caught.value.metadata["field"] == "mask_images[0]"


test_inpaintings, test_inpaintings_at_length = fuzzed(250, inpaintings())(check_one)

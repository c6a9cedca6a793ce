"""From a file to what a ControlNet looks at."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tests.orchestrator.pixels.test_preprocessors import drawn
from triptych.errors import InvalidArgumentError
from triptych_orchestrator.jobs.hints.preparation import AskedPreparation, preparation_of
from triptych_orchestrator.jobs.hints.preprocessors import Preprocessors, named
from triptych_orchestrator.jobs.hints.reading import HintReader, Part
from triptych_orchestrator.jobs.pictures import PictureReader
from triptych_orchestrator.jobs.tasks.controls import part_of
from triptych_orchestrator.jobs.tasks.inpainting import Inpaint, Original
from triptych_orchestrator.pixels.hints import brought
from triptych_orchestrator.pixels.preprocessors import Settings
from triptych_orchestrator.pixels.regions import Box, fitted
from triptych_orchestrator.settings import Limits

PHOTO = Image.fromarray(drawn(160, 96))
SIZE = (64, 64)
PART = Part((160, 96), Box(40, 20, 100, 70))


def file(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


async def hint(image: Image.Image, asked: AskedPreparation, part: Part | None = None) -> bytes:
    reader = HintReader(PictureReader(Limits()), Preprocessors(), Limits().max_upscaled_pixels)
    hints, _ = await reader.hints(file(image), preparation_of(asked, str), [SIZE], str, part)
    assert list(hints) == [SIZE]
    return hints[SIZE]


async def test_a_part_that_is_drawn_alone_has_the_same_part_looked_at() -> None:
    """As diffusers' inpainting cuts it, where it is of the image's size, and cut before it is prepared."""
    part = fitted(PHOTO.crop(PART.box), SIZE)
    assert await hint(PHOTO, AskedPreparation(), PART) == part.tobytes()
    edges = named("", "canny").run(np.asarray(part), Settings(64, 100, 200))
    assert await hint(PHOTO, AskedPreparation("canny", 64), PART) == edges.tobytes()


@pytest.mark.parametrize("mode", ["just_resize", "crop_and_resize", "resize_and_fill"])
async def test_a_picture_of_another_size_comes_to_the_images_before_it_is_cut(mode: str) -> None:
    other = PHOTO.resize((200, 200), Image.Resampling.LANCZOS)
    if mode == "just_resize":
        whole = other.resize(PART.image_size, Image.Resampling.LANCZOS)
    else:
        whole = Image.fromarray(brought(np.asarray(other), PART.image_size, mode))
    assert await hint(other, AskedPreparation(resize_mode=mode), PART) == fitted(whole.crop(PART.box), SIZE).tobytes()


@pytest.mark.parametrize(
    ("mode", "resolution"), [("just_resize", 64), ("crop_and_resize", 64), ("resize_and_fill", 38)]
)
async def test_pixel_perfect_works_at_what_is_drawn(mode: str, resolution: int) -> None:
    """The extension's: as much as fills what is drawn, or lies within it."""
    made = named("", "canny").run(np.asarray(PHOTO), Settings(resolution, 100, 200))
    wanted = brought(made, SIZE, mode).tobytes()
    assert await hint(PHOTO, AskedPreparation("canny", 0, resize_mode=mode)) == wanted


async def test_a_mask_comes_along_as_a_channel() -> None:
    mask = Image.fromarray(np.where(np.arange(160) < 60, 255, 0).astype(np.uint8)[None].repeat(96, 0))
    reader = HintReader(PictureReader(Limits()), Preprocessors(), Limits().max_upscaled_pixels)
    hiding = preparation_of(AskedPreparation("inpaint", has_mask=True), str)
    hints, _ = await reader.hints(file(PHOTO), hiding, [(160, 96), SIZE], str, mask=file(mask))
    whole, small = (np.frombuffer(hints[size], np.uint8).reshape(size[1], size[0], 4) for size in ((160, 96), SIZE))
    np.testing.assert_array_equal(whole[..., :3], np.asarray(PHOTO))
    np.testing.assert_array_equal(whole[..., 3], np.asarray(mask))
    np.testing.assert_array_equal(small[..., :3], np.asarray(PHOTO.resize(SIZE, Image.Resampling.LANCZOS)))
    assert {*np.unique(small[..., 3])} == {0, 255} and small[0, :24, 3].all() and not small[0, 25:, 3].any()


def test_unlike_parts_are_refused() -> None:
    own = {"padding_mask_crop": 4, "mask_blur": 0, "masked_content": "original", "invert_mask": False}
    own |= {"paste_original": True, "expand": None, "expand_fill": "copy", "is_seen": False}
    boxes = [Box(0, 0, 8, 8), Box(0, 0, 8, 8), Box(8, 0, 16, 8)]
    originals = tuple(Original(b"", 160, 96, file=b"x", box=box) for box in boxes)
    same = Inpaint(**own, originals=originals[:2])  # type: ignore[arg-type]
    assert part_of(same) == Part((160, 96), boxes[0])
    assert part_of(None) is None
    with pytest.raises(InvalidArgumentError, match=r"^padding_mask_crop: draws unlike parts"):
        part_of(Inpaint(**own, originals=originals))  # type: ignore[arg-type]

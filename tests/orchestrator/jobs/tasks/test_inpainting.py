"""What inpainting adds to a request: masks read and checked, each problem by its field."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.orchestrator.jobs.test_pictures import file
from tests.orchestrator.jobs.test_validation import job_of, picture
from triptych.errors import InvalidArgumentError
from triptych_orchestrator.jobs.job import Job
from triptych_orchestrator.jobs.tasks.enlarging import Enlargement
from triptych_orchestrator.jobs.tasks.hires import AskedHires
from triptych_orchestrator.jobs.tasks.inpainting import InpaintAsked
from triptych_orchestrator.jobs.tasks.upscaling import AskedUpscale
from triptych_orchestrator.jobs.told import of_picture
from triptych_orchestrator.pipeline.plan import FromMasked, models_of, plan_of
from triptych_orchestrator.pipeline.writing.infotext import describe
from triptych_orchestrator.pixels.borders import Sides
from triptych_orchestrator.settings import Limits


def half(width: int = 64, height: int = 48, mode: str = "L") -> bytes:
    """White on the right."""
    pixels = np.zeros((height, width), np.uint8)
    pixels[:, width // 2 :] = 255
    return file(Image.fromarray(pixels).convert(mode))


def plain(colour: str) -> bytes:
    return file(Image.new("L", (64, 48), colour))


async def masked(
    *masks: bytes, images: tuple[bytes, ...] = (picture(),), limits: Limits | None = None, **asked: Any
) -> Job:
    names = InpaintAsked.__annotations__.keys() & asked.keys()
    own = {name: asked.pop(name) for name in names}
    return await job_of(limits=limits, images=images, inpaint=InpaintAsked(masks, **own), **asked)


def greys(job: Job) -> list[np.ndarray]:
    assert job.inpaint
    return [np.frombuffer(mask, np.uint8).reshape(job.height, job.width) for mask in job.inpaint.masks]


async def test_a_mask_makes_a_pass_that_draws_a_part_anew() -> None:
    job = await masked(half())
    (one,) = plan_of(job)
    assert isinstance(one.source, FromMasked) and models_of([one]) == {"demo": {"vae_encoder"}}
    assert (one.width, one.height, one.strength, one.source.begins_with_noise) == (64, 48, 1.0, True)
    assert (greys(job)[0] == np.repeat([0, 255], 32)).all()
    assert job.inpaint and job.inpaint.originals[0].pixels == job.images[0] and job.warnings == ()
    assert (await masked(half(), paste_original=False)).inpaint.originals == ()  # type: ignore[union-attr]


async def test_a_picture_tells_as_a1111_what_was_asked() -> None:
    job = await masked(half(), mask_blur=3, masked_content="latent_noise", invert_mask=True, padding_mask_crop=7)
    told = "Mask blur: 3, Masked content: latent noise, Mask mode: Inpaint not masked, Inpaint area: Only masked"
    assert f"{told}, Masked area padding: 7" in describe(job, 1, 0)
    assert "Mask" not in describe(await masked(half()), 1, 0)


async def test_what_is_expanded_tells_no_size_that_would_be_refused() -> None:
    told = {"images": ["sha256:0"], "expand": {"left": 8, "top": 0, "right": 0, "bottom": 0}}
    assert not {"width", "height"} & (await expanded(8, 0, 0, 0, told=told)).told.keys()
    assert (await masked(half(), told={"images": []})).told["width"] == 64


async def test_a_picture_of_one_image_needs_the_others_whose_first_seed_draws_its_latents() -> None:
    for images, place in ((["sha256:0"], 1), (["sha256:0", "sha256:1"], None)):
        told = {"num_images_per_prompt": 2, "seeds": [1, 2], "images": images, "mask_images": ["sha256:2"]}
        request, index = of_picture(told, 1)
        assert index == place and request["images"] == images[-1:] and request["mask_images"] == ["sha256:2"]


async def test_only_a_strength_of_one_leaves_nothing_of_the_image(sdxl: Path) -> None:
    for strength, content, is_noise in ((1.0, "", True), (0.9, "", False), (1.0, "fill", False)):
        (one,) = plan_of(await masked(half(), strength=strength, masked_content=content))
        assert isinstance(one.source, FromMasked) and one.source.begins_with_noise == is_noise
    asked = InpaintAsked((half(),))
    assert (await job_of(sdxl, images=(picture(),), inpaint=asked)).strength == 0.9999


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "I", "CMYK"])
async def test_masks_of_any_mode_are_read(mode: str) -> None:
    kind = "TIFF" if mode == "CMYK" else "PNG"
    image = Image.open(io.BytesIO(half())).convert(mode)
    if mode == "I":
        image = Image.fromarray(np.repeat([[0, 65535]], 32, axis=1).repeat(48, axis=0).astype(np.uint16))
    assert (greys(await masked(file(image, kind)))[0] == np.repeat([0, 255], 32)).all()


async def test_what_is_transparent_is_kept() -> None:
    image = Image.new("RGBA", (64, 48), "white")
    image.putalpha(Image.fromarray(np.repeat([[0, 255]], 32, axis=1).repeat(48, axis=0).astype(np.uint8)))
    assert (greys(await masked(file(image)))[0] == np.repeat([0, 255], 32)).all()


async def test_a_mask_is_turned_as_its_camera_was_held() -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    upside_down = Image.open(io.BytesIO(half()))
    assert (greys(await masked(file(upside_down, exif=exif)))[0] == np.repeat([255, 0], 32)).all()


async def test_a_mask_may_be_inverted_softened_and_of_another_size() -> None:
    assert (greys(await masked(half(), invert_mask=True))[0] == np.repeat([255, 0], 32)).all()
    assert (greys(await masked(half(6, 4, "1")))[0] == np.repeat([0, 255], 32)).all()
    soft = greys(await masked(half(), mask_blur=4))[0]
    assert len(np.unique(soft)) > 8 and (np.diff(soft.astype(int), axis=1) >= 0).all() and 0 < soft[0, 31] < 128


async def test_one_mask_for_all_or_one_for_each() -> None:
    left = file(Image.open(io.BytesIO(half())).transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    two = await masked(half(), left)
    assert (two.num_images_per_prompt, len(two.images), len(greys(two))) == (2, 1, 2)
    assert two.inpaint and len(two.inpaint.originals) == 2
    filled = await masked(half(), left, masked_content="fill", images=(half(mode="RGB"),))
    assert len(filled.images) == 2 and filled.images[0] != filled.images[1]
    both = await masked(half(), images=(picture(), picture(colour="blue")))
    assert (len(both.images), len(greys(both))) == (2, 1)
    assert len((await masked(half(), images=(picture(), picture()))).images) == 2


async def test_a_part_is_drawn_as_large_as_the_checkpoints_own_pictures() -> None:
    job = await masked(half(400, 90), images=(picture(400, 90),), padding_mask_crop=3)
    assert (job.width, job.height) == (128, 128)
    assert job.inpaint
    (original,) = job.inpaint.originals
    assert (original.width, original.height, original.file, original.box) == (
        400,
        90,
        picture(400, 90),
        (197, 0, 400, 90),
    )
    assert len(original.shares) == 203 * 90 and len(job.images[0]) == 128 * 128 * 3


async def test_a_mask_that_no_latent_sees_is_told() -> None:
    dot = Image.new("L", (64, 48))
    dot.putpixel((12, 12), 255)
    told = "mask_images[0] is so fine that nothing is drawn anew: a latent is 8 pixels wide"
    assert (await masked(file(dot))).warnings == (told,)
    assert (await masked(plain("white"))).warnings == ()  # all of it is drawn anew


@pytest.mark.parametrize(
    ("masks", "asked", "field", "problem"),
    [
        ([half()], {"images": ()}, "mask_images", "of an image; send one as well"),
        ([], {"mask_blur": 4}, "mask_blur", "is about what is drawn anew; send mask_images"),
        ([], {"mask_blur": 0}, "mask_blur", "is about what is drawn anew"),
        ([], {"padding_mask_crop": 4}, "padding_mask_crop", "is about what is drawn anew"),
        ([], {"masked_content": "fill"}, "masked_content", "is about what is drawn anew"),
        ([], {"invert_mask": True}, "invert_mask", "is about what is drawn anew"),
        ([], {"paste_original": True}, "paste_original", "is about what is drawn anew"),
        ([half()], {"hires": AskedHires()}, "hires", "does not go with mask_images or expand"),
        ([half()], {"upscale": AskedUpscale(), "padding_mask_crop": 1}, "upscale", "does not go"),
        (
            [half()],
            {"images": (picture(16_384, 16),), "padding_mask_crop": 1, "image_format": "webp"},
            "image_format",
            "webp holds 16383 pixels each way, and the picture comes back 16384 x 16",
        ),
        ([half()], {"masked_content": "paint"}, "masked_content", "must be one of original, fill, latent_noise"),
        ([half()], {"mask_blur": 257}, "mask_blur", "from 0 to 256 pixels, not 257"),
        ([half()] * 3, {"num_images_per_prompt": 2}, "mask_images", "one for each of the 2, not 3"),
        ([half()], {"strength": float("nan")}, "strength", "a number from 0 to 1"),
        ([plain("black")], {}, "mask_images[0]", "is black everywhere, so that nothing would be drawn anew"),
        ([half(), plain("white")], {"invert_mask": True}, "mask_images[1]", "is white everywhere"),
        ([b"no picture"], {}, "mask_images[0]", "is no picture"),
        ([half()[:-60]], {}, "mask_images[0]", "is broken or cut off"),
        ([half(300, 300)], {"limits": Limits(max_image_pixels=64 * 64)}, "mask_images[0]", "300 x 300, more than"),
        ([half()], {"limits": Limits(max_image_bytes=len(picture()))}, "images", "more than the"),
        (
            [half()],
            {"limits": Limits(max_image_pixels=64 * 64), "padding_mask_crop": 0, "num_images_per_prompt": 2},
            "padding_mask_crop",
            "2 pictures of 64 x 48 are more than the 4096 pixels",
        ),
    ],
)  # fmt: skip
async def test_what_is_wrong_is_named(masks: list[bytes], asked: dict[str, Any], field: str, problem: str) -> None:
    with pytest.raises(InvalidArgumentError, match=problem) as caught:
        await masked(*masks, **asked)
    assert caught.value.metadata["field"] == field


@pytest.mark.parametrize("size", [(1, 1), (1, 20_000), (20_000, 1)])
async def test_pictures_of_any_shape_are_drawn_on_in_part(size: tuple[int, int]) -> None:
    white = file(Image.new("L", size, "white"))
    job = await masked(white, images=(picture(*size),), padding_mask_crop=2, masked_content="fill")
    assert (job.width, job.height) == (128, 128) and greys(job)[0].all()


async def expanded(*sides: int, size: tuple[int, int] = (64, 48), **asked: Any) -> Job:
    return await masked(*asked.pop("masks", ()), images=(picture(*size),), expand=Sides(*sides), **asked)


async def test_new_sides_are_drawn_and_the_rest_is_cut_off() -> None:
    job = await expanded(9, 0, 0, 5)
    assert (job.width, job.height, job.strength) == (80, 56, 1.0)
    assert job.inpaint and job.inpaint.originals[0].cut == (7, 0, 80, 53)
    assert (greys(job)[0][:48, 16:] == 0).all() and (greys(job)[0][:, :16] == 255).all()
    assert len(job.images) == 1 and len(job.images[0]) == 80 * 56 * 3
    (one,) = plan_of(job)
    assert isinstance(one.source, FromMasked) and not one.source.begins_with_noise
    (noisy,) = plan_of(await expanded(9, 0, 0, 5, expand_fill="noise"))
    assert isinstance(noisy.source, FromMasked) and noisy.source.begins_with_noise
    (weak,) = plan_of(await expanded(9, 0, 0, 5, expand_fill="noise", strength=0.5))
    assert isinstance(weak.source, FromMasked) and (weak.source.begins_with_noise, weak.source.content) == (
        False,
        "latent_noise",
    )


async def test_what_is_new_fades_into_the_picture_unless_all_of_it_is_to_stay() -> None:
    for blur, paste, untouched in ((None, True, 24), (0, True, 16), (None, False, 80)):
        job = await expanded(16, 0, 0, 0, mask_blur=blur, paste_original=paste)
        assert job.inpaint
        shares = np.frombuffer(job.inpaint.originals[0].shares, np.uint8).reshape(48, 80)
        assert (shares[:, :16] == 255).all() and (shares[:, untouched + 10 :] == (255 if not paste else 0)).all()
        assert (shares[:, 16] == (0 if blur == 0 else 255)).all()


async def test_what_is_expanded_may_be_enlarged_at_last() -> None:
    job = await expanded(9, 0, 0, 5, upscale=AskedUpscale(Enlargement(scale=2.0)))
    assert job.upscale and (job.upscale.width, job.upscale.height) == (2 * 73, 2 * 53)


async def test_a_mask_may_say_what_else_is_drawn_anew() -> None:
    job = await expanded(16, 0, 0, 0, masks=[half()])
    assert (greys(job)[0] == np.repeat([255, 0, 255], [16, 32, 32])).all()


async def test_each_image_is_as_large_as_the_first() -> None:
    job = await masked(images=(picture(), picture(20, 20, "blue")), expand=Sides(8, 0, 0, 0))
    assert [len(image) for image in job.images] == [72 * 48 * 3] * 2 and job.num_images_per_prompt == 2


@pytest.mark.parametrize(
    ("asked", "field", "problem"),
    [
        ({"images": ()}, "expand", "of an image; send one as well"),
        ({"expand": Sides(0, 0, 0, 0)}, "expand", "adds nothing"),
        ({"expand": None}, "expand_fill", "is about what is drawn anew"),
        ({"expand": None, "masks": [half()]}, "expand_fill", "says what new sides begin with"),
        ({"expand_fill": "paint"}, "expand_fill", "must be one of copy, reflect, noise, not 'paint'"),
        ({"width": 64}, "width", "follows from the image and expand"),
        ({"height": 64}, "height", "follows from the image and expand"),
        ({"padding_mask_crop": 0}, "padding_mask_crop", "does not go with expand"),
        ({"masked_content": "fill"}, "masked_content", "does not go with expand"),
        ({"expand": Sides(2**32 - 1, 0, 0, 0)}, "expand", "makes it 4294967360 x 48; each side must"),
        ({"expand": Sides(1900, 0, 0, 1900)}, "expand", "more than the 1048576 pixels"),
        ({"images": (picture(1, 1),), "expand": Sides(1, 0, 0, 0)}, "expand", "makes it 16 x 8; each side must"),
    ],
)  # fmt: skip
async def test_what_is_wrong_about_sides_is_named(asked: dict[str, Any], field: str, problem: str) -> None:
    given = {"expand": Sides(8, 8, 8, 8), "expand_fill": "noise", **asked}
    with pytest.raises(InvalidArgumentError, match=problem) as caught:
        await masked(*given.pop("masks", ()), **given)
    assert caught.value.metadata["field"] == field

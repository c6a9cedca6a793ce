"""What image-to-image adds to a request: counts, sizes and strengths, each refused by its field."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from triptych import demo
from triptych.checkpoint import Checkpoint
from triptych.checkpoint.families import FAMILIES
from triptych.errors import InvalidArgumentError
from triptych_orchestrator.jobs.asked import Asked
from triptych_orchestrator.jobs.job import Job
from triptych_orchestrator.jobs.pictures import PictureReader
from triptych_orchestrator.jobs.validation import resolve
from triptych_orchestrator.pipeline.plan import FromNoise, FromPictures, models_of, plan_of
from triptych_orchestrator.pipeline.writing.infotext import describe
from triptych_orchestrator.settings import Limits


def picture(width: int = 64, height: int = 48, colour: str = "red", kind: str = "PNG") -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(stream, kind)
    return stream.getvalue()


async def job_of(path: Path | None = None, limits: Limits | None = None, **asked: Any) -> Job:
    limits = limits or Limits()
    checkpoint = Checkpoint.open(path or demo.checkpoint_path())
    return await resolve(Asked("a", "demo", "a fox", **asked), checkpoint, limits, PictureReader(limits))


async def test_a_request_without_an_image_does_all_its_steps_from_noise() -> None:
    job = await job_of()
    (one,) = plan_of(job)
    assert (job.images, job.strength, one.strength, one.source) == ((), 1.0, 1.0, FromNoise())
    assert models_of([one]) == {"demo": set()} and "Denoising" not in describe(job, 1, 0)


async def test_an_image_says_how_large_it_is_to_be_drawn() -> None:
    job = await job_of(images=(picture(75, 101),))
    (one,) = plan_of(job)
    assert (one.width, one.height, one.strength, one.checkpoint) == (72, 96, 0.8, "demo")
    assert isinstance(one.source, FromPictures) and [len(rgb) for rgb in one.source.pictures] == [72 * 96 * 3]
    assert models_of([one]) == {"demo": {"vae_encoder"}}
    assert "Denoising strength: 0.8" in describe(job, 1, 0).splitlines()[-1].split(", ")
    only_width = await job_of(images=(picture(75, 101), picture(20, 20)), width=64)
    assert (only_width.width, only_width.height, only_width.num_images_per_prompt) == (64, 96, 2)
    assert [len(rgb) for rgb in only_width.images] == [64 * 96 * 3] * 2


async def test_the_default_strength_is_the_familys(sdxl: Path) -> None:
    assert (await job_of(sdxl, images=(picture(),))).strength == 0.3
    assert (await job_of(sdxl, images=(picture(),), strength=0.5)).strength == 0.5


async def test_warnings_reach_the_job() -> None:
    stream = io.BytesIO()
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    frames[0].save(stream, "GIF", save_all=True, append_images=frames[1:])
    job = await job_of(images=(picture(), stream.getvalue()))
    assert job.warnings == ("images[1] holds several pictures; the first is taken",)


async def test_a_size_that_has_no_effect_is_told(sdxl: Path) -> None:
    crop, size = {"negative_crops_coords_top_left": (1, 1)}, {"negative_original_size": (64, 64)}
    told = "has no effect without both of negative_original_size and negative_target_size"
    assert (await job_of(sdxl, micro_conditions=size)).warnings == (f"negative_original_size {told}",)
    job = await job_of(sdxl, micro_conditions=size | crop, images=(picture(),))
    assert job.warnings == ("negative_crops_coords_top_left has no effect with an image",)


@pytest.mark.parametrize(
    ("asked", "field", "problem"),
    [
        ({"strength": 0.5}, "strength", "send one, or leave it out"),
        ({"images": (picture(),), "strength": 1.01}, "strength", "a number from 0 to 1"),
        ({"images": (picture(),), "strength": -0.1}, "strength", "a number from 0 to 1"),
        ({"images": (picture(),), "strength": float("nan")}, "strength", "a number from 0 to 1"),
        ({"images": (picture(),), "strength": 0.0}, "strength", "0 of num_inference_steps 50 is less than one step"),
        (
            {"images": (picture(),), "strength": 0.3, "num_inference_steps": 3},
            "strength",
            "0.3 of num_inference_steps 3 is less than one step",
        ),
        ({"images": (picture(),) * 3, "num_images_per_prompt": 2}, "images", "one for each of the 2, not 3"),
        ({"images": (picture(),) * 9}, "images", "at most 8, a picture being drawn from each, not 9"),
        ({"images": (picture(),) * 9, "num_images_per_prompt": 9}, "num_images_per_prompt", "from 1 to 8, not 9"),
        ({"images": (picture(4, 64),)}, "width", r"not 0: images\[0\] is 4 x 64, so give width and height"),
        ({"images": (picture(64, 8),)}, "height", r"from 16 to 2048, not 8: images\[0\] is 64 x 8"),
        ({"images": (picture(2100, 16),)}, "width", r"from 16 to 2048, not 2096: images\[0\] is 2100 x 16"),
        ({"images": (picture(1600, 1600),)}, "width", "1600 x 1600 is more than the 1048576 pixels"),
        ({"images": (picture(), b"no picture")}, "images[1]", "is no picture"),
        ({"images": (picture(), picture()[:-40])}, "images[1]", "is broken or cut off"),
        ({"images": (picture(),), "width": 70}, "width", "must be a multiple of 8"),
    ],
)
async def test_what_is_wrong_is_named(asked: dict[str, Any], field: str, problem: str) -> None:
    with pytest.raises(InvalidArgumentError, match=problem) as caught:
        await job_of(**asked)
    assert caught.value.metadata["field"] == field


async def test_no_field_of_another_family_is_passed_over() -> None:
    others = set().union(*(family.fields for family in FAMILIES.values())) - FAMILIES["stable-diffusion"].fields
    assert len(others) == 12
    for field in others:
        told = field.endswith(("_size", "_left", "_score"))
        value: Any = {"micro_conditions": {field: (8, 8)}} if told else {field: "a"}
        with pytest.raises(InvalidArgumentError, match=f"^{field}: is not known to Stable Diffusion 1.x and 2.x"):
            await job_of(**value)


async def test_the_operators_limits_come_first() -> None:
    with pytest.raises(InvalidArgumentError, match="images: are 20 bytes, more than the 19"):
        await job_of(limits=Limits(max_image_bytes=19), images=(bytes(10), bytes(10)))
    with pytest.raises(InvalidArgumentError, match=r"images\[0\]: is 64 x 48, more than the 3000 pixels"):
        await job_of(limits=Limits(max_image_pixels=3000), images=(picture(),))

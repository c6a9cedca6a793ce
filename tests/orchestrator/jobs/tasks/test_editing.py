"""A request to a checkpoint that edits pictures: what it must bring, what is filled in, and the plan that it makes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import tiny
from triptych.checkpoint import Checkpoint
from triptych.errors import InvalidArgumentError
from triptych_orchestrator.jobs.asked import Asked
from triptych_orchestrator.jobs.job import Job
from triptych_orchestrator.jobs.tasks.editing import Edit
from triptych_orchestrator.jobs.tasks.inpainting import InpaintAsked
from triptych_orchestrator.jobs.told import filled
from triptych_orchestrator.jobs.validation import check
from triptych_orchestrator.pipeline.beside import ShownMasked
from triptych_orchestrator.pipeline.guiding import guidance_of
from triptych_orchestrator.pipeline.plan import FromBefore, FromNoise, models_of, plan_of
from triptych_orchestrator.pipeline.writing.infotext import describe
from triptych_orchestrator.sampling.guidance import combine, instructed
from triptych_orchestrator.settings import Limits
from triptych_orchestrator.stages.conditioning import Conditioning

EDITING = {
    "pix2pix": ("sd1", "StableDiffusionInstructPix2PixPipeline", 8),
    "xl-pix2pix": ("sdxl", "StableDiffusionXLInstructPix2PixPipeline", 8),
    "inpaint": ("sd1", "StableDiffusionInpaintPipeline", 9),
}
MASKED = InpaintAsked((b"",))


@pytest.fixture(scope="module")
def opened(checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Checkpoint]:
    root = tmp_path_factory.mktemp("editing")
    paths = {name: checkpoints[name] for name in ("sd1", "sdxl")}
    for name, (whole, pipeline, channels) in EDITING.items():
        paths[name] = tiny.save_editing_checkpoint(root / name, checkpoints[whole], pipeline, channels)
    return {name: Checkpoint.open(path) for name, path in paths.items()}


def job_of(opened: dict[str, Checkpoint], checkpoint: str = "pix2pix", **asked: Any) -> Job:
    given = Asked("a", checkpoint, "a fox", **{"images": (b"",), **asked})
    refiner = opened[given.refiner] if given.refiner else None
    return check(given, opened[checkpoint], Limits(), (70, 96) if given.images else None, refiner)


def test_what_is_left_open_is_diffusers(opened: dict[str, Checkpoint]) -> None:
    for checkpoint, guidance_scale in (("pix2pix", 7.5), ("xl-pix2pix", 5.0)):
        job = job_of(opened, checkpoint)
        assert (job.num_inference_steps, job.guidance_scale, job.edit) == (100, guidance_scale, Edit(1.5))
        assert (job.width, job.height, job.strength) == (64, 96, 1.0)
    assert job_of(opened, "sd1").edit is None


def test_the_image_is_seen_by_all_steps_that_begin_with_noise(opened: dict[str, Checkpoint]) -> None:
    (one,) = plan_of(replace(job_of(opened, image_guidance_scale=2.0), images=(bytes(3 * 64 * 96),)))
    assert (one.source, one.strength, one.edit) == (FromNoise(), 1.0, Edit(2.0)) and one.beside
    assert models_of([one]) == {"pix2pix": {"vae_encoder"}}
    text = describe(job_of(opened, image_guidance_scale=2.0), 1, 0)
    assert "Image CFG scale: 2" in text and "Denoising strength" not in text


def test_pictures_tell_no_strength_that_would_be_refused_again(opened: dict[str, Checkpoint]) -> None:
    told = filled({"images": ["a digest"]}, job_of(opened))
    assert told["num_inference_steps"] == 100 and "strength" not in told
    assert filled({"images": ["a digest"]}, job_of(opened, "sd1"))["strength"] == 0.8


def test_a_mask_is_seen_where_the_unet_has_channels_for_it(opened: dict[str, Checkpoint]) -> None:
    for checkpoint, beside in (("inpaint", ShownMasked((), (), 64, 96)), ("sd1", None)):
        (one,) = plan_of(job_of(opened, checkpoint, inpaint=MASKED))
        assert (one.beside, one.strength, one.edit) == (beside, 1.0, None)
        assert models_of([one]) == {checkpoint: {"vae_encoder"}}


def test_a_refiner_sees_nothing_of_the_image(opened: dict[str, Checkpoint]) -> None:
    first, second = plan_of(job_of(opened, "xl-pix2pix", refiner="sdxl"))
    assert first.beside and first.edit and isinstance(second.source, FromBefore)
    assert (second.beside, second.edit) == (None, None)


@pytest.mark.parametrize(
    ("checkpoint", "asked", "field", "problem"),
    [
        ("pix2pix", {"images": ()}, "images", "is missing: 'pix2pix' edits an image as instructed .*; send images"),
        ("pix2pix", {"strength": 0.5}, "strength", "is of no use: 'pix2pix' edits the whole image as .* leave it out"),
        (
            "pix2pix",
            {"inpaint": MASKED},
            "mask_images",
            "is of no use: 'pix2pix' edits the whole image .* out",
        ),
        ("inpaint", {"images": ()}, "images", "is missing: 'inpaint' edits an image under a mask .*; send images and"),
        ("inpaint", {}, "mask_images", "is missing: 'inpaint' edits an image under a mask .*; send images and mask_im"),
        ("inpaint", {"inpaint": MASKED, "image_guidance_scale": 1.5}, "image_guidance_scale", "'inpaint' does not"),
        ("pix2pix", {"image_guidance_scale": 0.9}, "image_guidance_scale", "must be a number from 1 to 1000, not 0.9"),
        ("pix2pix", {"image_guidance_scale": float("nan")}, "image_guidance_scale", "must be a number from 1"),
        ("pix2pix", {"image_guidance_scale": float("inf")}, "image_guidance_scale", "must be a number from 1"),
        ("sd1", {"image_guidance_scale": 1.5}, "image_guidance_scale", "is for .* as instructed .*'sd1' does not"),
        ("pix2pix", {"images": (b"", b""), "num_images_per_prompt": 3}, "images", "one for all, or one for each of"),
        ("xl-pix2pix", {"refiner": "xl-pix2pix"}, "refiner", "'xl-pix2pix' edits an image as .* finishes nothing"),
    ],
)
def test_what_is_wrong_is_named(
    opened: dict[str, Checkpoint], checkpoint: str, asked: dict[str, Any], field: str, problem: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{field}: .*{problem}") as caught:
        job_of(opened, checkpoint, **asked)
    assert caught.value.metadata["field"] == field


def test_the_weights_are_diffusers_sum_gathered() -> None:
    uncond, image, text = np.random.default_rng(0).standard_normal((3, 2, 4, 8, 8), np.float32)
    theirs = uncond + np.float32(7.5) * (text - image) + np.float32(1.5) * (image - uncond)
    np.testing.assert_allclose(combine([uncond, image, text], instructed(7.5, 1.5)), theirs, atol=1e-5)
    assert sum(instructed(7.5, 1.25)) == 1 and instructed(1.0, 4.0) == (1.0,)


def test_only_what_has_neither_text_nor_image_is_blind() -> None:
    negative, prompt = (Conditioning.of(encoder_hidden_states=np.full((2, 3), value, np.float32)) for value in (0, 1))
    parts = guidance_of([negative, prompt], 7.5, Edit(1.5))
    assert [(part.conditioning is negative, part.weight, part.sees) for part in parts] == [
        (True, -0.5, False),
        (True, -6.0, True),
        (False, 7.5, True),
    ]
    assert [(part.weight, part.sees) for part in guidance_of([prompt], 1.0, Edit(1.5))] == [(1.0, True)]

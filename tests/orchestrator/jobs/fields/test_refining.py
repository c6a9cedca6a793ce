"""A request for two checkpoints: which can finish what the other began, where, and what each is told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests import tiny
from triptych.checkpoint import Checkpoint
from triptych.errors import InvalidArgumentError
from triptych_orchestrator.jobs.asked import Asked
from triptych_orchestrator.jobs.job import Job
from triptych_orchestrator.jobs.validation import check
from triptych_orchestrator.pipeline.plan import FromBefore, FromNoise, FromPictures, models_of, plan_of
from triptych_orchestrator.pipeline.writing.infotext import describe
from triptych_orchestrator.settings import Limits


@pytest.fixture(scope="module")
def opened(checkpoints: dict[str, Path]) -> dict[str, Checkpoint]:
    return {name: Checkpoint.open(checkpoints[name]) for name in ("sd1", "sdxl", "refiner")}


def job_of(opened: dict[str, Checkpoint], checkpoint: str = "sdxl", refiner: str = "refiner", **asked: Any) -> Job:
    given = Asked("a", checkpoint, "a fox", refiner=refiner, **asked)
    image_size = (64, 64) if given.images else None
    return check(given, opened[checkpoint], Limits(), image_size, opened[refiner] if refiner else None)


def test_a_refiner_makes_a_plan_of_two_passes(opened: dict[str, Checkpoint]) -> None:
    first, second = plan_of(job_of(opened))
    assert (first.checkpoint, first.source, first.start, first.end) == ("sdxl", FromNoise(), 0.0, 0.8)
    assert (second.checkpoint, second.source, second.start, second.end) == ("refiner", FromBefore(), 0.8, 1.0)
    assert (first.zeroes_negative, second.zeroes_negative) == (True, False)
    assert models_of([first, second]) == {"sdxl": set(), "refiner": set()}


def test_with_an_image_only_the_first_pass_encodes_one(opened: dict[str, Checkpoint]) -> None:
    job = replace(job_of(opened, images=(b"",), strength=0.5, refiner_start=0.75), images=(bytes(3 * 64 * 64),))
    first, second = plan_of(job)
    assert isinstance(first.source, FromPictures) and (first.strength, first.end) == (0.5, 0.75)
    assert (second.strength, second.start) == (1.0, 0.75)
    assert models_of([first, second]) == {"sdxl": {"vae_encoder"}, "refiner": set()}
    text = describe(job, 1, 0)
    assert "Denoising strength: 0.5, Refiner: refiner, Refiner switch at: 0.75" in text


def test_without_a_refiner_nothing_is_said_of_one(opened: dict[str, Checkpoint]) -> None:
    job = job_of(opened, refiner="")
    assert len(plan_of(job)) == 1 and plan_of(job)[0].end == 1.0 and "Refiner" not in describe(job, 1, 0)


@pytest.mark.parametrize(
    ("asked", "field", "problem"),
    [
        ({"refiner": "", "refiner_start": 0.5}, "refiner_start", "name one, or leave it out"),
        ({"refiner": "sd1"}, "refiner", "'sd1' is Stable Diffusion 1.x and 2.x, which does not finish what .* XL base"),
        ({"checkpoint": "sd1"}, "refiner", "is not known to Stable Diffusion 1.x and 2.x"),
        ({"checkpoint": "refiner", "images": (b"",)}, "refiner", "is not known to Stable Diffusion XL refiner, only"),
        ({"refiner_start": 0.0}, "refiner_start", "between 0 and 1, not 0.0"),
        ({"refiner_start": 1.0}, "refiner_start", "between 0 and 1, not 1.0"),
        ({"refiner_start": float("nan")}, "refiner_start", "between 0 and 1, not nan"),
        ({"refiner_start": 0.001}, "refiner_start", "0.001 leaves no step to the checkpoint; raise it, or ask for"),
        ({"refiner_start": 0.9999}, "refiner_start", "0.9999 leaves no step to the refiner; lower it, or ask"),
        (
            {"images": (b"",), "strength": 0.2, "refiner_start": 0.8},
            "refiner_start",
            "0.8 leaves no step to the checkpoint; raise it, or strength",
        ),
        ({"clip_skip": 3}, "clip_skip", "must be from 0 to 2, not 3"),
        ({"refiner": "", "micro_conditions": {"aesthetic_score": (6.0,)}}, "aesthetic_score", "only to .* refiner"),
    ],
)
def test_what_is_wrong_is_named(opened: dict[str, Checkpoint], asked: dict[str, Any], field: str, problem: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{field}: .*{problem}") as caught:
        job_of(opened, **asked)
    assert caught.value.metadata["field"] == field


def test_what_edits_pictures_finishes_nothing(
    opened: dict[str, Checkpoint], checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    path = tiny.save_editing_checkpoint(tmp_path / "x", checkpoints["sdxl"], "StableDiffusionXLInpaintPipeline", 9)
    with pytest.raises(InvalidArgumentError, match=r"^refiner: 'inpaint' edits an image .* finishes nothing"):
        job_of(opened | {"inpaint": Checkpoint.open(path)}, refiner="inpaint")


@pytest.mark.parametrize("what", ["latent_channels", "vae_scale_factor"])
def test_latents_of_another_shape_are_refused(opened: dict[str, Checkpoint], what: str) -> None:
    other = replace(opened["refiner"], **{what: 16})  # type: ignore[arg-type]
    with pytest.raises(InvalidArgumentError, match=f"refiner: 'refiner' has {what} 16, and the checkpoint"):
        job_of(opened | {"refiner": other})


def test_each_may_be_told_what_it_alone_knows(opened: dict[str, Checkpoint]) -> None:
    told: dict[str, tuple[float, ...]] = {"target_size": (70, 80), "aesthetic_score": (7.0,)}
    assert job_of(opened, prompt_2="a hare", micro_conditions=told).micro_conditions == told


def test_only_what_neither_heeds_is_without_effect(opened: dict[str, Checkpoint]) -> None:
    crop: dict[str, tuple[float, ...]] = {"negative_crops_coords_top_left": (1, 1)}
    assert job_of(opened, micro_conditions=crop).warnings == ()
    (warning,) = job_of(opened, refiner="sdxl", micro_conditions=crop).warnings
    assert warning.startswith("negative_crops_coords_top_left has no effect")
    (warning,) = job_of(opened, micro_conditions={"negative_target_size": (1, 1)}).warnings
    assert warning.startswith("negative_target_size has no effect")
    assert job_of(opened, refiner="sdxl", micro_conditions={"negative_target_size": (1, 1)}).warnings == ()

"""What a family's requests may bring, and what is filled in for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from triptych import demo
from triptych.checkpoint import Checkpoint
from triptych.errors import InvalidArgumentError
from triptych_orchestrator.jobs.asked import Asked
from triptych_orchestrator.jobs.job import Job
from triptych_orchestrator.jobs.validation import check
from triptych_orchestrator.pipeline.writing.infotext import describe
from triptych_orchestrator.settings import Limits


def job_of(checkpoint: Checkpoint, **asked: Any) -> Job:
    return check(Asked("a", "x", "a fox", **asked), checkpoint, Limits())


@pytest.fixture(scope="module")
def large(sdxl: Path) -> Checkpoint:
    return Checkpoint.open(sdxl)


@pytest.fixture(scope="module")
def small() -> Checkpoint:
    return Checkpoint.open(demo.checkpoint_path())


def test_what_is_left_open_is_the_familys(large: Checkpoint, small: Checkpoint) -> None:
    assert [job_of(one).guidance_scale for one in (large, small)] == [5.0, 7.5]
    job = job_of(large)
    assert (job.clip_skip, job.guidance_rescale, job.micro_conditions, job.num_inference_steps) == (0, 0.0, {}, 50)
    assert (job.height, job.width) == (large.default_height, large.default_width)


def test_zeros_stand_for_a_negative_prompt_that_is_left_out_not_for_an_empty_one(
    large: Checkpoint, small: Checkpoint
) -> None:
    assert [job_of(one).zeroes_negative for one in (large, small)] == [True, False]
    for text in ("", "blue"):
        job = job_of(large, negative_prompt=text)
        assert (job.negative_prompt, job.zeroes_negative) == (text, False)
    assert job_of(large, negative_prompt_2="blue").zeroes_negative


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"clip_skip": 3}, "clip_skip"),
        ({"guidance_rescale": 1.5}, "guidance_rescale"),
        ({"guidance_rescale": float("nan")}, "guidance_rescale"),
        ({"micro_conditions": {"target_size": (1, 1 << 17)}}, "target_size"),
        ({"prompt_2": "x" * 10_001}, "prompt_2"),
        ({"negative_prompt_2": "x" * 10_001}, "negative_prompt_2"),
    ],
)
def test_values_out_of_bounds(large: Checkpoint, asked: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgumentError, match=f"^{field}: ") as caught:
        job_of(large, **asked)
    assert caught.value.metadata["field"] == field


@pytest.mark.parametrize(
    "asked",
    [
        {"prompt_2": "a"},
        {"negative_prompt_2": "a"},
        {"micro_conditions": {"negative_target_size": (0, 0)}},
        {"micro_conditions": {"aesthetic_score": (6.0,)}},
    ],
)
def test_fields_of_another_family(small: Checkpoint, asked: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match=r"is not known to Stable Diffusion 1\.x and 2\.x, only to"):
        job_of(small, **asked)


def test_empty_is_not_given(small: Checkpoint) -> None:
    assert job_of(small, prompt_2="", negative_prompt_2="", clip_skip=0).clip_skip == 0


def test_a_refiner_draws_from_an_image_alone(checkpoints: dict[str, Path]) -> None:
    refiner = Checkpoint.open(checkpoints["refiner"])
    with pytest.raises(
        InvalidArgumentError, match=r"images: is missing: .* XL refiner draws from an image alone"
    ) as caught:
        job_of(refiner)
    assert caught.value.metadata["field"] == "images"
    scores = {"aesthetic_score": 7.5}
    asked = Asked(images=(b"",), micro_conditions={name: (score,) for name, score in scores.items()}, told=scores)
    job = check(asked, refiner, Limits(), (64, 64))
    assert (job.strength, job.guidance_scale, job.micro_conditions) == (0.3, 5.0, {"aesthetic_score": (7.5,)})
    assert "aesthetic_score: 7.5" in describe(job, 1, 0)


@pytest.mark.parametrize("score", [-0.5, 100.5, float("nan"), float("inf")])
def test_a_score_out_of_bounds(checkpoints: dict[str, Path], score: float) -> None:
    asked = Asked(images=(b"",), micro_conditions={"negative_aesthetic_score": (score,)})
    with pytest.raises(InvalidArgumentError, match=r"^negative_aesthetic_score: must be a number from 0 to 100"):
        check(asked, Checkpoint.open(checkpoints["refiner"]), Limits(), (64, 64))

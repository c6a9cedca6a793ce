"""A second pass over larger pictures: its size, steps and plan, and what is refused by its field."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from triptych import demo
from triptych.checkpoint import Checkpoint
from triptych.errors import InvalidArgumentError
from triptych_orchestrator.jobs.asked import Asked
from triptych_orchestrator.jobs.job import Job
from triptych_orchestrator.jobs.tasks.enlarging import Enlargement
from triptych_orchestrator.jobs.tasks.hires import AskedHires, Hires, check_upscaler
from triptych_orchestrator.jobs.validation import check
from triptych_orchestrator.library.upscalers import Upscalers
from triptych_orchestrator.pipeline.plan import Enlarged, FromBefore, FromNoise, models_of, plan_of
from triptych_orchestrator.pipeline.writing.infotext import describe
from triptych_orchestrator.settings import Limits

LIMITS = Limits(max_width=512, max_height=320, max_pixels=256 * 320)


def job_of(hires: AskedHires, limits: Limits = LIMITS, **asked: Any) -> Job:
    given: dict[str, Any] = {"width": 128, "height": 64, "num_inference_steps": 10, "scheduler": "ddim"} | asked
    checkpoint = Checkpoint.open(demo.checkpoint_path())
    image_size = (64, 64) if "images" in asked else None
    return check(Asked("a", "demo", "a fox", hires=hires, **given), checkpoint, limits, image_size)


def asked_hires(
    scale: float | None = None, width: int | None = None, height: int | None = None, **rest: Any
) -> AskedHires:
    return AskedHires(Enlargement(scale, width, height), **rest)


def test_what_is_open_is_a1111s() -> None:
    job = job_of(AskedHires())
    assert job.hires == Hires(256, 128, 2.0, "latent", 0.7, 10)
    first, second = plan_of(job)
    assert (first.source, first.width, first.height, first.strength) == (FromNoise(), 128, 64, 1.0)
    assert (second.source, second.width, second.height, second.strength) == (Enlarged("latent"), 256, 128, 0.7)
    assert models_of([first, second]) == {"demo": set()}
    told = "Hires upscale: 2, Hires steps: 10, Hires upscaler: latent, Denoising strength: 0.7"
    assert "Size: 128x64" in describe(job, 1, 0) and told in describe(job, 1, 0)


@pytest.mark.parametrize(
    ("to", "size"),
    [
        ({"scale": 1.55}, (192, 96)),
        ({"scale": 1.0}, (128, 64)),
        ({"width": 192}, (192, 96)),
        ({"height": 80}, (160, 80)),
        ({"width": 136, "height": 320}, (136, 320)),
    ],
)
def test_a_size_or_a_scale(to: dict[str, Any], size: tuple[int, int]) -> None:
    job = job_of(asked_hires(**to))
    assert job.hires and (job.hires.width, job.hires.height) == size
    assert ("Hires resize" in describe(job, 1, 0)) == ("scale" not in to)


def test_steps_of_its_own_and_pictures_need_an_encoder() -> None:
    job = job_of(asked_hires(upscaler="lanczos", num_inference_steps=4, strength=0.5), images=(b"",), strength=0.3)
    first, second = plan_of(job)
    assert (first.num_inference_steps, first.strength) == (10, 0.3)
    assert (second.num_inference_steps, second.strength, second.source) == (4, 0.5, Enlarged("lanczos"))
    assert models_of([second]) == {"demo": {"vae_encoder"}}
    told = describe(replace(job, images=(b"...",)), 1, 0)
    assert "Denoising strength: 0.3, Hires upscale" in told and "Hires denoising strength: 0.5" in told


@pytest.mark.parametrize(
    ("hires", "field", "problem"),
    [
        ({"scale": 0.5}, "hires.scale", "from 1 to 16, not 0.5"),
        ({"scale": float("nan")}, "hires.scale", "not nan"),
        ({"scale": 2.0, "width": 256}, "hires.scale", "leave one of them out"),
        ({"scale": 5.0}, "hires.scale", "from 16 to 512, not 640, which 128 x 64 would come to"),
        ({"scale": 4.0}, "hires.scale", "512 x 256 is more than the 81920 pixels"),
        ({"width": 120, "height": 64}, "hires.width", "at least the 128 that there are before, not 120"),
        ({"width": 130}, "hires.width", "a multiple of 8"),
        ({"height": 0}, "hires.height", "not 0"),
        ({"height": 328}, "hires.height", "not 656"),
        ({"width": 128, "height": 328}, "hires.height", "not 328"),
        ({"strength": 1.5}, "hires.strength", "from 0 to 1, not 1.5"),
        ({"strength": 0.05}, "hires.strength", "0.05 of num_inference_steps 10 is less than one step"),
        ({"num_inference_steps": 0}, "hires.num_inference_steps", "from 1 to 200, not 0"),
        ({"num_inference_steps": 1, "strength": 0.7}, "hires.strength", "less than one step"),
    ],
)
def test_what_is_wrong_is_named(hires: dict[str, Any], field: str, problem: str) -> None:
    with pytest.raises(InvalidArgumentError, match=problem) as caught:
        job_of(asked_hires(**hires))
    assert caught.value.metadata["field"] == field


def test_what_a_scheduler_has_against_its_steps_is_said_of_them() -> None:
    with pytest.raises(InvalidArgumentError, match=r"^hires.num_inference_steps: ") as caught:
        job_of(asked_hires(num_inference_steps=1001), limits=Limits(max_num_inference_steps=2000))
    assert caught.value.metadata["field"] == "hires.num_inference_steps"


def test_upscalers_are_of_latents_or_of_pictures() -> None:
    for name in ("", "latent_nearest_exact", "lanczos"):
        check_upscaler(AskedHires(upscaler=name), Upscalers())
    check_upscaler(None, Upscalers())
    with pytest.raises(InvalidArgumentError, match=r"'Latent' is no upscaler; there are latent, .*, lanczos") as caught:
        check_upscaler(AskedHires(upscaler="Latent"), Upscalers())
    assert caught.value.metadata["field"] == "hires.upscaler"


@pytest.fixture(scope="module")
def opened(checkpoints: dict[str, Path]) -> dict[str, Checkpoint]:
    return {name: Checkpoint.open(checkpoints[name]) for name in ("sdxl", "refiner")}


def test_a_refiner_finishes_the_second_pass(opened: dict[str, Checkpoint]) -> None:
    asked = Asked("a", "sdxl", "a fox", refiner="refiner", refiner_start=0.5, hires=asked_hires(num_inference_steps=30))
    job = check(asked, opened["sdxl"], Limits(), refiner=opened["refiner"])
    first, second, third = plan_of(job)
    assert (first.checkpoint, first.end, second.checkpoint, second.end) == ("sdxl", 1.0, "sdxl", 0.5)
    assert (third.checkpoint, third.source, third.start, third.num_inference_steps) == (
        "refiner",
        FromBefore(),
        0.5,
        30,
    )
    assert (third.width, third.height) == (second.width, second.height) != (first.width, first.height)


def test_sizes_that_count_in_either_pass_are_not_idle(opened: dict[str, Checkpoint]) -> None:
    told = {"negative_target_size": (70.0, 80.0)}
    alone = check(Asked("a", "sdxl", "a fox", micro_conditions=told), opened["sdxl"], Limits())
    both = check(Asked("a", "sdxl", "a fox", micro_conditions=told, hires=AskedHires()), opened["sdxl"], Limits())
    assert len(alone.warnings) == 1 and both.warnings == ()

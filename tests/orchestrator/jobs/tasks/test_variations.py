"""Variations: what is open is filled in, what is wrong is refused by its field, what was done is told."""

from __future__ import annotations

from typing import Any

import pytest

from triptych import demo
from triptych.checkpoint import Checkpoint
from triptych.errors import InvalidArgumentError
from triptych_orchestrator.jobs.asked import Asked
from triptych_orchestrator.jobs.job import Job
from triptych_orchestrator.jobs.tasks.variations import AskedVariation, Varied
from triptych_orchestrator.jobs.told import filled
from triptych_orchestrator.jobs.validation import check
from triptych_orchestrator.pipeline.writing.infotext import describe
from triptych_orchestrator.sampling.variations import Variation
from triptych_orchestrator.settings import Limits


def job_of(subseeds: tuple[int, ...] = (), strength: float | None = None, size: Any = None, **asked: Any) -> Job:
    given = Asked("a", "demo", "a fox", variation=AskedVariation(subseeds, strength, size), **asked)
    return check(given, Checkpoint.open(demo.checkpoint_path()), Limits())


def test_nothing_is_varied_unless_it_is_asked_for() -> None:
    assert job_of().variation is job_of(strength=0.0).variation is job_of((5,), 0.0).variation is None
    assert "Variation" not in describe(job_of((5,), 0.0), 1, 0)


def test_subseeds_count_as_seeds_do() -> None:
    job = job_of((5, 6), 0.25, num_images_per_prompt=2, seeds=(1, 2))
    assert job.variation == Varied((5, 6), 0.25, None)
    assert filled({}, job)["subseeds"] == [5, 6]
    assert "Variation seed: 6, Variation seed strength: 0.25" in describe(job, 2, 1)
    assert "Variation seed: 7," in describe(job_of((7,), 0.25, num_images_per_prompt=2), 2, 1)
    job = job_of((7,), 0.25, num_images_per_prompt=2, seeds=(1, 2))
    assert job.variation and job.variation.subseeds == (7, 7)
    for seeds in ((), (1,), (1, 2)):
        job = job_of((), 0.25, num_images_per_prompt=2, seeds=seeds)
        assert job.variation and len(job.variation.subseeds) == len(job.seeds) == (len(seeds) or 2)


def test_a_size_is_told_in_pixels_and_drawn_in_latents() -> None:
    job = job_of(size=(64, 96))
    assert job.variation == Varied((), 0.0, (64, 96))
    assert job.variation.in_latents(8) == Variation((), 0.0, (8, 12))
    assert "Seed resize from: 96x64" in describe(job, 1, 0)


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (((5,),), "subseeds"),
        (((5, 6), 0.1), "subseeds"),
        (((), 1.5), "subseed_strength"),
        (((), float("nan")), "subseed_strength"),
        (((), None, (64, 60)), "seed_resize_from"),
        (((), None, (0, 64)), "seed_resize_from"),
        (((), None, (64, 1 << 31)), "seed_resize_from"),
    ],
)
def test_what_is_wrong_is_named(asked: tuple[Any, ...], field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        job_of(*asked)
    assert caught.value.metadata["field"] == field

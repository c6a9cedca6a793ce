from __future__ import annotations

from pathlib import Path

from triptych import demo
from triptych.checkpoint import Checkpoint
from triptych_orchestrator.jobs.asked import Asked
from triptych_orchestrator.jobs.validation import check
from triptych_orchestrator.pipeline.writing.infotext import describe
from triptych_orchestrator.settings import Limits


def test_eta_is_among_the_parameters_where_it_was_asked_for() -> None:
    checkpoint = Checkpoint.open(demo.checkpoint_path())
    with_eta, without = (
        check(Asked("a", "demo", "a fox", scheduler="ddim", eta=eta, seeds=(1,)), checkpoint, Limits())
        for eta in (0.25, None)
    )
    assert "Eta DDIM: 0.25" in describe(with_eta, 1, 0).splitlines()[-1].split(", ")
    assert "Eta" not in describe(without, 1, 0)


def test_what_only_some_families_know_is_among_the_parameters_where_it_was_given(sdxl: Path) -> None:
    sizes = {"original_size": (300, 200), "crops_coords_top_left": (11, 7)}
    asked = Asked(
        "a", "xl", "a fox", "a, wolf", "", "hare", 1, guidance_rescale=0.7, micro_conditions=sizes, seeds=(1,)
    )
    text = describe(check(asked, Checkpoint.open(sdxl), Limits()), 1, 0)
    given = 'guidance_rescale: 0.7, clip_skip: 1, prompt_2: "a, wolf", negative_prompt_2: hare, '
    assert f"{given}original_size: 300x200, crops_coords_top_left: 11x7, Seed: 1" in text
    plain = describe(
        check(Asked("a", "xl", "a fox", negative_prompt="", seeds=(1,)), Checkpoint.open(sdxl), Limits()), 1, 0
    )
    assert "CFG scale: 5, Seed: 1" in plain


def test_zeros_in_place_of_a_negative_prompt_are_among_the_parameters(sdxl: Path) -> None:
    checkpoint = Checkpoint.open(sdxl)
    for negative, scale, said in ((None, 5.0, True), ("", 5.0, False), (None, 1.0, False)):
        job = check(Asked(prompt="a", negative_prompt=negative, guidance_scale=scale), checkpoint, Limits())
        assert ("force_zeros_for_empty_prompt: True" in describe(job, 1, 0)) is said

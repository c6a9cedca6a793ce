from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from triptych import demo
from triptych.checkpoint import Checkpoint
from triptych.checkpoint.identity.digests import Digests
from triptych.contract.pictures.samplers import BY_SCHEDULER
from triptych.v1.generation_pb2 import Coordinates, GenerateRequest, Size
from triptych_orchestrator.api.messages import asked_of, told_of
from triptych_orchestrator.jobs.hints.preparation import AskedPreparation, preparation_of
from triptych_orchestrator.jobs.job import Job
from triptych_orchestrator.jobs.tasks.controls import JobControl
from triptych_orchestrator.jobs.validation import check
from triptych_orchestrator.library.loras.choice import LoraContent
from triptych_orchestrator.pipeline.writing.infotext import describe
from triptych_orchestrator.pipeline.writing.made_of import MadeOf
from triptych_orchestrator.sampling.schedulers import SCHEDULERS
from triptych_orchestrator.settings import Limits


def job_of(request: GenerateRequest, path: Path | None = None) -> Job:
    asked = replace(asked_of(request), told=told_of(request))
    return check(asked, Checkpoint.open(path or demo.checkpoint_path()), Limits())


def values(request: GenerateRequest, path: Path | None = None) -> list[str]:
    return describe(job_of(request, path), 1, 0).splitlines()[-1].split(", ")


def test_eta_is_among_the_parameters_where_it_was_asked_for() -> None:
    assert "Eta DDIM: 0.25" in values(GenerateRequest(prompt="a fox", scheduler="ddim", eta=0.25))
    assert not any("Eta" in value for value in values(GenerateRequest(prompt="a fox", scheduler="ddim")))


def test_what_only_some_families_know_is_among_the_parameters_where_it_was_given(sdxl: Path) -> None:
    request = GenerateRequest(
        prompt="a fox", prompt_2="a, wolf", negative_prompt="", negative_prompt_2="hare", guidance_rescale=0.7,
        original_size=Size(height=300, width=200), crops_coords_top_left=Coordinates(top=11, left=0), clip_skip=1,
        seeds=[1],
    )  # fmt: skip
    text = describe(job_of(request, sdxl), 1, 0)
    given = 'prompt_2: "a, wolf", negative_prompt_2: hare, guidance_rescale: 0.7, '
    assert f"{given}original_size: 300x200, crops_coords_top_left: 11x0, Seed: 1" in text
    assert "Clip skip: 2" in text  # where 1 leaves out no layer
    plain = describe(job_of(GenerateRequest(prompt="a fox", negative_prompt="", seeds=[1]), sdxl), 1, 0)
    assert "CFG scale: 5, Seed: 1" in plain


def test_zeros_in_place_of_a_negative_prompt_are_among_the_parameters(sdxl: Path) -> None:
    for negative, scale, said in ((None, 5.0, True), ("", 5.0, False), (None, 1.0, False)):
        request = GenerateRequest(prompt="a", negative_prompt=negative, guidance_scale=scale)
        assert ("force_zeros_for_empty_prompt: True" in values(request, sdxl)) is said


def test_a_sampler_has_its_name_in_the_web_ui() -> None:
    assert BY_SCHEDULER.keys() == SCHEDULERS.keys()
    assert len(set(BY_SCHEDULER.values())) == len(SCHEDULERS)
    assert "Sampler: Euler a" in values(GenerateRequest(prompt="a", scheduler="EulerAncestralDiscreteScheduler"))
    karras = values(GenerateRequest(prompt="a", scheduler="dpmpp_2m_karras"))
    assert {"Sampler: DPM++ 2M", "Schedule type: Karras"} <= set(karras)


def test_all_that_has_a_hash_is_named_by_it() -> None:
    job = job_of(GenerateRequest(prompt="a", checkpoint="demo", seeds=[1]))
    loras = replace(job.loras, content={"ink": LoraContent("a" * 64, "b" * 64), "oil": LoraContent("c" * 64, "d" * 64)})
    made_of = MadeOf({"demo": Digests("1" * 64, "2" * 64), "mse": Digests("3" * 64)})
    text = describe(replace(job, loras=loras), 1, 0, made_of)
    assert f"Model hash: {'1' * 10}, Model: demo, VAE hash: {'2' * 10}, " in text
    assert f'Lora hashes: "ink: {"b" * 12}, oil: {"d" * 12}", Version: Triptych' in text
    assert f"VAE hash: {'3' * 10}, VAE: mse" in describe(replace(job, vae="mse"), 1, 0, made_of)
    assert "hash" not in describe(job, 1, 0)


def test_controlnets_are_told_as_a1111s_extension_does() -> None:
    """Its own reading (ControlNetUnit.parse): fields parted by commas, names by colons, -1 for what is left open."""
    job = job_of(GenerateRequest(prompt="a fox", seeds=[1]))
    how: dict[str, Any] = {
        "canny": {"preprocessor": "canny", "threshold_a": 50.0, "resize_mode": "crop_and_resize"},
        "tile": {},
    }
    controls = tuple(
        JobControl(name, 0.8, 0.0, 0.5, mode, preparation_of(AskedPreparation(**asked), str), "both", {})
        for (name, asked), mode in zip(how.items(), ("balanced", "prompt"), strict=True)
    )
    made_of = MadeOf({"canny": Digests("31e35c80fc4829d14f90153f4c74cd59c90b779f6afe05a74cd6120b893f7e5b")})
    text = describe(replace(job, controls=controls, told=job.told | {"controls": []}), 1, 0, made_of).splitlines()[-1]
    first = (
        "Module: canny, Model: canny [31e35c80], Weight: 0.8, Resize Mode: Crop and Resize, Processor Res: 512, "
        "Threshold A: 50.0, Threshold B: 200, Guidance Start: 0.0, Guidance End: 0.5, Pixel Perfect: False, "
        "Control Mode: Balanced"
    )
    second = (
        "Module: none, Model: tile, Weight: 0.8, Resize Mode: Just Resize, Processor Res: -1, Threshold A: -1, "
        "Threshold B: -1, Guidance Start: 0.0, Guidance End: 0.5, Pixel Perfect: False, "
        "Control Mode: My prompt is more important"
    )
    assert f'ControlNet 0: "{first}", ControlNet 1: "{second}", Version' in text
    assert "controls" not in text

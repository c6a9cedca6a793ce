"""A1111's own texts, as its web UI writes them, and ours where the request was taken out of a picture."""

from __future__ import annotations

from typing import Any

import pytest

from triptych.contract.pictures.samplers import BY_SCHEDULER
from triptych.sdk.reading.infotext import infotext_request, scheduler_of

WEB_UI = """a (cat:1.2), <lora:ink:0.7>
second line
Negative prompt: ugly,
bad
Steps: 20, Sampler: DPM++ 2M, Schedule type: Karras, CFG scale: 7.5, Seed: 965400086, Size: 512x768, \
Model hash: 6ce0161689, Model: v1-5-pruned-emaonly, VAE hash: 735e4c3a44, VAE: vae-ft-mse.safetensors, Clip skip: 2, \
Lora hashes: "ink: aaaabbbbcccc, oil: dddd", RNG: CPU, ControlNet 0: "Module: canny, Model: x", Version: v1.9.3"""


def test_all_that_means_something_here() -> None:
    request = infotext_request(WEB_UI)
    assert request.parameters == {
        "prompt": "a (cat:1.2), <lora:ink:0.7>\nsecond line", "negative_prompt": "ugly,\nbad",
        "num_inference_steps": 20,
        "scheduler": "dpmpp_2m_karras", "guidance_scale": 7.5, "seed": 965400086, "width": 512, "height": 768,
        "checkpoint": "v1-5-pruned-emaonly", "vae": "vae-ft-mse", "clip_skip": 1,
    }  # fmt: skip
    assert request.left_out == ["ControlNet 0: Module: canny, Model: x"]
    assert request.hashes == {"checkpoint": "6ce0161689", "vae": "735e4c3a44"} and request.origin == "a1111"


def read(pairs: str) -> tuple[dict[str, Any], list[str]]:
    request = infotext_request(f"a\nSteps: 4, Seed: 1, RNG: CPU, {pairs}")
    known = ("prompt", "negative_prompt", "num_inference_steps", "seed")
    return {name: value for name, value in request.parameters.items() if name not in known}, request.left_out


def test_what_is_not_understood_is_left_out() -> None:
    assert read("Sampler: Restart, Face restoration: GFPGAN") == ({}, ["Sampler: Restart", "Face restoration: GFPGAN"])
    assert read("CFG scale: much, Size: big") == ({}, ["CFG scale: much", "Size: big"])
    assert read("Clip skip: 1") == ({}, [])
    assert read("Refiner: xl [31e35c80fc], Refiner switch at: 0.8") == ({"refiner": "xl", "refiner_start": 0.8}, [])
    parameters, (warning,) = read("Denoising strength: 0.5")
    assert parameters == {"strength": 0.5} and "bring it as image" in warning


def test_one_of_a_batch_of_ours_needs_the_batch() -> None:
    pairs = "a\nSteps: 4, Seed: 1, Size: 8x8, Batch size: 3, Batch position: 2, RNG: CPU"
    theirs, ours = (infotext_request(f"{pairs}, Version: {version}") for version in ("v1.9.3", "Triptych 0.1.0"))
    assert (theirs.index, theirs.parameters.get("num_images_per_prompt"), theirs.left_out) == (0, None, [])
    assert (ours.index, ours.parameters["num_images_per_prompt"]) == (2, 3)


def test_a_second_pass_and_a_variation() -> None:
    hires = "Denoising strength: 0.4, Hires upscale: 2, Hires steps: 0, Hires upscaler: Latent (nearest-exact)"
    assert read(hires) == ({"hires": {"scale": 2, "strength": 0.4, "upscaler": "latent_nearest_exact"}}, [])
    parameters, left_out = read("Denoising strength: 0.4, Hires resize: 64x32, Hires upscaler: R-ESRGAN 4x+")
    assert parameters == {"hires": {"width": 64, "height": 32, "strength": 0.4}}
    assert left_out == ["Hires upscaler: R-ESRGAN 4x+"]
    both = read("Denoising strength: 0.5, Hires denoising strength: 0.3, Hires upscale: 1.5")[0]
    assert both == {"strength": 0.5, "hires": {"scale": 1.5, "strength": 0.3}}
    varied = "Variation seed: 3, Variation seed strength: 0.25, Seed resize from: 64x32"
    assert read(varied) == ({"subseed": 3, "subseed_strength": 0.25, "seed_resize_from": (32, 64)}, [])


def test_noise_of_a_gpu_is_told() -> None:
    (warning,) = infotext_request("a\nSteps: 4, Seed: 1, Size: 8x8, Version: v1.9.3").left_out
    assert warning.startswith("RNG: ")
    assert infotext_request("a\nSteps: 4, Seed: 1, Size: 8x8, Version: Triptych 0.1.0").left_out == []


def test_a_text_without_pairs_is_a_prompt() -> None:
    request = infotext_request("a star, red: 4\nNegative prompt: blue")
    assert request.parameters == {"prompt": "a star, red: 4", "negative_prompt": "blue"}


@pytest.mark.parametrize(
    ("sampler", "schedule", "name"),
    [
        ("Euler a", "Automatic", "euler_ancestral"),
        ("Euler", "", "euler"),
        ("DPM++ 2M", "", "dpmpp_2m"),
        ("DPM++ 2M", "Automatic", "dpmpp_2m_karras"),
        ("DPM++ 2M Karras", "", "dpmpp_2m_karras"),
        ("DPM++ 2M", "Exponential", ""),
        ("Euler", "Karras", ""),
        ("UniPC", "", ""),
        ("pndm", "", "pndm"),
    ],
)
def test_a_sampler_is_one_of_ours_or_none(sampler: str, schedule: str, name: str) -> None:
    assert scheduler_of(sampler, schedule) == name


def test_our_own_names_come_back() -> None:
    for name, sampler in BY_SCHEDULER.items():
        assert scheduler_of(sampler.name, sampler.schedule) == name


def test_a_value_in_quotes_may_hold_anything() -> None:
    request = infotext_request('a\nSteps: 4, Seed: 1, Size: 8x8, prompt_2: "a, \\"b\\": c\\n", RNG: CPU, x: "y')
    assert request.parameters["prompt_2"] == 'a, "b": c\n' and request.left_out == ['x: "y']

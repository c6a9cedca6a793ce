"""The same checkpoint, seed, scheduler and parameters give diffusers' picture, through the real servers.

What tests/parity does not ask: there every scheduler meets each engine, family, size and number of pictures.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import Served
from triptych_orchestrator.sampling.schedulers import SCHEDULERS

# Of 255, in any pixel.
TOLERANCE = 2
SIZES = [(64, 64), (96, 64), (72, 104)]


@functools.cache
def pipeline(path: Path) -> Any:
    """diffusers' own pipeline of a checkpoint."""
    made = diffusers.StableDiffusionPipeline.from_pretrained(path, safety_checker=None)
    made.set_progress_bar_config(disable=True)
    return made


def expected(path: Path, scheduler: str, seeds: int | list[int], **parameters: Any) -> list[Image.Image]:
    """What diffusers makes of it; `scheduler` as in SCHEDULERS, "" for the checkpoint's own."""
    pipe = pipeline(path)
    own = pipe.scheduler
    if scheduler:
        info = SCHEDULERS[scheduler]
        pipe.scheduler = getattr(diffusers, info.class_name).from_config(own.config, **info.overrides)
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in np.atleast_1d(seeds).tolist()]
    try:
        images: list[Image.Image] = pipe(
            generator=generators if len(generators) > 1 else generators[0], **parameters
        ).images
    finally:
        pipe.scheduler = own
    return images


def largest_difference(ours: list[Image.Image], theirs: list[Image.Image]) -> int:
    assert len(ours) == len(theirs)
    assert [image.size for image in ours] == [image.size for image in theirs]
    pairs = zip(ours, theirs, strict=True)
    return max(int(np.abs(np.asarray(a, np.int16) - np.asarray(b, np.int16)).max()) for a, b in pairs)


def check(served: Served, path: Path, name: str, scheduler: str, seeds: int | list[int], **parameters: Any) -> None:
    result = served.client.generate(checkpoint=name, scheduler=scheduler, seed=seeds, **parameters)
    theirs = expected(path, scheduler, seeds, **parameters)
    # A picture of one colour would agree with anything.
    assert np.asarray(theirs[0]).std() > 5
    assert largest_difference(result.images, theirs) <= TOLERANCE


@pytest.mark.parametrize("guidance_scale", [0.0, 1.0, 1.5, 12.0])
@pytest.mark.parametrize("negative_prompt", ["", "small green square"])
@pytest.mark.parametrize("family", ["sd1", "sd2"])
def test_guidance(
    served: Served,
    checkpoints: dict[str, Path],
    family: str,
    negative_prompt: str,
    guidance_scale: float,
) -> None:
    check(
        served, checkpoints[family], family, "ddim", 0,
        prompt="a large blue star", negative_prompt=negative_prompt, num_inference_steps=4,
        guidance_scale=guidance_scale, width=64, height=64,
    )  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheduler", ["euler_ancestral", "dpmpp_2m_karras"])
def test_sizes_of_three(served: Served, checkpoints: dict[str, Path], scheduler: str, size: tuple[int, int]) -> None:
    check(
        served, checkpoints["sd2"], "sd2", scheduler, 1234567890123,
        prompt="a small white square on a red background", num_inference_steps=4, num_images_per_prompt=3,
        width=size[0], height=size[1],
    )  # fmt: skip


@pytest.mark.parametrize("scheduler", ["ddim", "euler_ancestral"])
def test_one_seed_for_each_image(served: Served, checkpoints: dict[str, Path], scheduler: str) -> None:
    check(
        served, checkpoints["sd1"], "sd1", scheduler, [3, 0, 99],
        prompt="a green circle", num_inference_steps=4, num_images_per_prompt=3, width=64, height=72,
    )  # fmt: skip


def test_more_samples_than_one_batch_holds(served: Served, checkpoints: dict[str, Path]) -> None:
    served_eight = dict(prompt="a red star", num_inference_steps=2, num_images_per_prompt=8, width=64, height=64)
    check(served, checkpoints["sd1"], "sd1", "euler", 5, **served_eight)


@pytest.mark.parametrize("scheduler", ["ddim", "euler", "euler_ancestral", "dpmpp_2m"])
def test_zero_terminal_snr(served: Served, checkpoints: dict[str, Path], scheduler: str) -> None:
    check(
        served, checkpoints["sd2zero"], "sd2zero", scheduler, 11,
        prompt="a blue square", num_inference_steps=5, width=64, height=64,
    )  # fmt: skip


def test_ddim_eta(served: Served, checkpoints: dict[str, Path]) -> None:
    check(
        served, checkpoints["sd1"], "sd1", "ddim", 21,
        prompt="a blue square", num_inference_steps=5, width=64, height=64, eta=0.7,
    )  # fmt: skip

"""Pictures that go through the VAE in tiles, beside diffusers' `enable_tiling`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import torch
from PIL import Image

import triptych
from tests.conftest import Served
from tests.e2e.serving import orchestrator
from tests.parity.oracle import TOLERANCE, drawn

# 13 and 19 latents: tiles of 8 leave edges of 1 and of 7.
SIZE = {"width": 152, "height": 104}
REQUEST: dict[str, Any] = {"prompt": "a red circle", "num_inference_steps": 3}


@pytest.fixture(scope="module", params=["onnxruntime", "torch"])
def client(
    request: pytest.FixtureRequest, served: Served, checkpoints: dict[str, Path], tmp_path_factory: Any
) -> Iterator[triptych.Client]:
    """Of an orchestrator that has the VAE work in tiles of 64 pixels on pictures of more than 96 x 96."""
    arguments = [f"--limit=max_untiled_pixels={96 * 96}", "--limit=vae_tile_size=64", "--engine", request.param]
    name = f"large-{request.param}"
    with (
        orchestrator(
            served, tmp_path_factory.mktemp(name), *arguments, "--checkpoint", f"{name}={checkpoints['sd1']}"
        ) as one,
        triptych.Client(one.address) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def theirs(checkpoints: dict[str, Path]) -> Any:
    """diffusers' pipeline, its VAE's tiles 64 pixels wide."""
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(checkpoints["sd1"], requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    pipe.vae.enable_tiling()
    assert pipe.vae.tile_sample_min_size == 64
    return pipe


def apart(ours: triptych.Result, theirs: list[Image.Image]) -> int:
    pairs = zip(ours.images, theirs, strict=True)
    return max(int(np.abs(np.asarray(a, np.int16) - np.asarray(b, np.int16)).max()) for a, b in pairs)


def test_text_to_image(client: triptych.Client, theirs: Any) -> None:
    ours = client.generate(**REQUEST, **SIZE, seed=1, num_images_per_prompt=2, scheduler="pndm")
    generator = torch.Generator("cpu").manual_seed(1)
    expected = theirs(**REQUEST, **SIZE, generator=generator, num_images_per_prompt=2).images
    assert apart(ours, expected) <= TOLERANCE
    assert ours.timings.vae.calls == 2 * 12 and ours.warnings == []


def test_image_to_image(client: triptych.Client, theirs: Any) -> None:
    image = drawn((SIZE["width"], SIZE["height"]), 0)
    ours = client.generate(**REQUEST, image=image, strength=0.7, seed=1, scheduler="pndm")
    pipe = diffusers.StableDiffusionImg2ImgPipeline(**theirs.components, requires_safety_checker=False)
    pipe.set_progress_bar_config(disable=True)
    generator = torch.Generator("cpu").manual_seed(1)
    assert apart(ours, pipe(**REQUEST, image=image, strength=0.7, generator=generator).images) <= TOLERANCE


def test_small_pictures_are_made_at_once(client: triptych.Client) -> None:
    assert client.generate(**REQUEST, width=96, height=96).timings.vae.calls == 1
    limits = client.server_info().limits
    assert (limits.max_untiled_pixels, limits.vae_tile_size) == (96 * 96, 64)


def test_a_large_picture_that_tiles_goes_round_its_edge(client: triptych.Client) -> None:
    """Its VAE's tiles are cut with some of the other side around them: the edge is one like any between two tiles."""
    across, beside = [], []
    for seed in range(2):
        ours = client.generate(**REQUEST, **SIZE, seed=seed, tiling="x")
        columns = np.asarray(ours.images[0], np.float32)
        across.append(np.abs(columns[:, 0] - columns[:, -1]).mean())
        beside.append(np.abs(np.diff(columns, axis=1)).mean())
    assert np.mean(across) <= 1.5 * np.mean(beside)

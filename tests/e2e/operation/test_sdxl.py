"""Stable Diffusion XL on two UNet replicas: what its steps need besides travels, is lost and comes back as ever."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import triptych
from tests.conftest import CACHE, Served
from tests.e2e.operation.test_failure import all_ready, server_of
from tests.e2e.serving import SIZE, difference, meeting, wait_for
from triptych.embedded import Stack, StackConfig
from triptych.sdk.events import Result, Step

STEPS = 12
# Of torch's pictures from ONNX Runtime's.
TOLERANCE = 2
REQUEST: dict[str, Any] = {
    "prompt": "a red circle", "prompt_2": "a star", "scheduler": "ddim", "num_inference_steps": STEPS, "seed": 3,
    "original_size": (300, 200), "crops_coords_top_left": (11, 7), "target_size": (90, 130),
    "negative_original_size": (50, 60), "negative_crops_coords_top_left": (3, 5), "negative_target_size": (70, 80),
    **SIZE,
}  # fmt: skip


@pytest.fixture(scope="module")
def large(sdxl: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    config = StackConfig(
        {"sdxl": sdxl},
        run_dir=tmp_path_factory.mktemp("large"),
        cache_dir=CACHE,
        replicas={"unet": 2},
        startup_timeout_s=900,
        limits={"max_batch_samples": 16},
    )
    with Stack(config) as stack, triptych.Client(stack.address) as client:
        yield Served(stack, client)


def test_guidance_is_split_and_a_lost_half_done_again(large: Served) -> None:
    before = large.client.generate(**REQUEST)
    assert before.timings.unet.split_calls == STEPS and before.timings.unet.replicas == ["unet-0", "unet-1"]
    steps: list[Step] = []
    for event in large.client.stream(**REQUEST):
        if isinstance(event, Step):
            steps.append(event)
            if event.step == 4:
                os.kill(server_of(large, "unet-1"), signal.SIGKILL)
    assert isinstance(event, Result) and len(steps) == STEPS
    assert event.pngs == before.pngs
    wait_for(lambda: all_ready(large), 120, "the restarted replica with its models")


def test_requests_share_batches_whatever_sizes_they_tell(large: Served) -> None:
    wait_for(lambda: all_ready(large), 120, "all replicas")
    changes: list[dict[str, Any]] = [
        {},
        {"original_size": (64, 640), "prompt_2": ""},
        {"negative_prompt": "blue", "guidance_scale": 9.0},
        {"guidance_scale": 1.0, "target_size": (1, 2)},
        {"clip_skip": 1, "guidance_rescale": 0.5, "num_images_per_prompt": 2},
        {"prompt": "a large square", "seed": 8},
    ]
    requests = [REQUEST | change for change in changes]
    alone = [large.client.generate(**request) for request in requests]
    together = meeting(large.client, requests, samples=5)
    for (_, ours), theirs in zip(together, alone, strict=True):
        assert ours.pngs == theirs.pngs


def test_engines_are_exchanged_with_both_text_encoders(large: Served, sdxl: Path) -> None:
    wait_for(lambda: all_ready(large), 120, "all replicas")
    before = large.client.generate(**REQUEST)
    assert large.client.register_checkpoint("sdxl", sdxl, engine="encoder=torch").engine == "encoder=torch"
    held = {model for replica in large.client.server_info().replicas for model in replica.models}
    assert held == {f"sdxl~.{model}" for model in ("encoder", "encoder_2", "unet", "vae_decoder")}
    assert difference(large.client.generate(**REQUEST), before) <= TOLERANCE


def test_a_prompt_that_one_text_encoder_cuts_is_told_once(large: Served) -> None:
    long = " ".join(["red"] * 80)
    whole = large.client.generate(**REQUEST | {"prompt": long, "prompt_2": "", "num_inference_steps": 1})
    assert len([warning for warning in whole.warnings if "too long" in warning]) == 1
    second = large.client.generate(**REQUEST | {"prompt_2": f"{long} (star:1.2)", "num_inference_steps": 1})
    assert sum("too long" in warning for warning in second.warnings) == 1
    assert sum("prompt 2's" in warning for warning in second.warnings) == 1

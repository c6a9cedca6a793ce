"""The latents that a second pass begins with, where it is of another ratio than the first: A1111's middle of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from triptych import demo
from triptych.checkpoint import Checkpoint
from triptych.errors import InvalidArgumentError
from triptych_orchestrator.jobs.asked import Asked
from triptych_orchestrator.jobs.tasks.enlarging import Enlargement
from triptych_orchestrator.jobs.tasks.hires import AskedHires
from triptych_orchestrator.jobs.validation import check
from triptych_orchestrator.library.upscalers import Upscalers
from triptych_orchestrator.pipeline.beginning import Beginning
from triptych_orchestrator.pipeline.begun import Begun
from triptych_orchestrator.pipeline.plan import Enlarged, plan_of
from triptych_orchestrator.sampling.variations import Randomness
from triptych_orchestrator.settings import Limits

BEFORE = (128, 64)
SCALE = 8


class Vae:
    """Decodes a latent to as many pixels of its first number, and encodes that back."""

    pixels_a_latent = SCALE

    async def decode(self, latents: np.ndarray) -> list[np.ndarray]:
        return [row[0].repeat(SCALE, 0).repeat(SCALE, 1)[..., None].repeat(3, -1).astype(np.uint8) for row in latents]

    async def encode(self, pictures: np.ndarray) -> np.ndarray:
        assert not (pictures.shape[1] % SCALE or pictures.shape[2] % SCALE)
        means = pictures[:, ::SCALE, ::SCALE, :1].transpose(0, 3, 1, 2).astype(np.float32)
        return np.concatenate([means.repeat(4, 1), np.full_like(means.repeat(4, 1), -100)], axis=1)

    def scaled(self, latents: np.ndarray) -> np.ndarray:
        return latents


class Silent:
    """A solver and its random numbers of which nothing comes."""

    generators = Randomness((1,), None).generators

    def first(self, shape: Any) -> np.ndarray:
        return np.zeros(shape, np.float32)

    def add_noise(self, original: np.ndarray, noise: np.ndarray, at: int) -> np.ndarray:
        return original + noise

    def evaluations(self, *told: float) -> range:
        return range(3, 10)


def a1111(samples: torch.Tensor, target: tuple[int, int], mode: str) -> torch.Tensor:
    """modules/processing.py: calculate_target_resolution, and what sample_hr_pass makes of it, for both given."""
    upscale_to = whole(target)
    larger = torch.nn.functional.interpolate(samples, size=(upscale_to[1] // SCALE, upscale_to[0] // SCALE), mode=mode)
    return truncated(larger, target)


def whole(target: tuple[int, int]) -> tuple[int, int]:
    if BEFORE[0] / BEFORE[1] < target[0] / target[1]:
        return target[0], target[0] * BEFORE[1] // BEFORE[0]
    return target[1] * BEFORE[0] // BEFORE[1], target[1]


def truncated(larger: Any, target: tuple[int, int]) -> Any:
    truncate_x, truncate_y = ((whole(target)[axis] - target[axis]) // SCALE for axis in range(2))
    return larger[
        :, :, truncate_y // 2 : larger.shape[2] - (truncate_y + 1) // 2,
        truncate_x // 2 : larger.shape[3] - (truncate_x + 1) // 2,
    ]  # fmt: skip


def hires_of(target: tuple[int, int], upscaler: str, limits: Limits | None = None) -> Any:
    asked = Asked(
        "a", "demo", "a fox", width=BEFORE[0], height=BEFORE[1], num_inference_steps=10,
        hires=AskedHires(Enlargement(None, *target), upscaler),
    )  # fmt: skip
    return plan_of(check(asked, Checkpoint.open(demo.checkpoint_path()), limits or Limits()))[1]


async def begun(target: tuple[int, int], upscaler: str, latents: np.ndarray) -> np.ndarray:
    one, silent = hires_of(target, upscaler), Silent()
    beginning = Beginning(one, Vae(), Upscalers(), "a")  # type: ignore[arg-type]
    shape = (len(latents), 4, target[1] // SCALE, target[0] // SCALE)
    return (await beginning.begin(silent, shape, silent, Begun(latents))).latents  # type: ignore[arg-type]


@pytest.mark.parametrize("target", [(128, 128), (136, 328), (256, 72), (264, 128), (200, 104), (256, 128)])
@pytest.mark.parametrize(("upscaler", "mode"), [("latent_nearest", "nearest"), ("latent", "bilinear")])
async def test_latents_of_another_ratio_are_a1111s(target: tuple[int, int], upscaler: str, mode: str) -> None:
    latents = np.random.default_rng(0).standard_normal((2, 4, BEFORE[1] // SCALE, BEFORE[0] // SCALE), np.float32)
    ours = await begun(target, upscaler, latents)
    theirs = a1111(torch.from_numpy(latents), target, mode)
    assert ours.shape == tuple(theirs.shape) == (2, 4, target[1] // SCALE, target[0] // SCALE)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)
    source = hires_of(target, upscaler).source
    assert isinstance(source, Enlarged) and (source.covering is None) == (target == (256, 128))


@pytest.mark.parametrize("target", [(128, 128), (136, 328), (256, 72), (256, 128)])
async def test_pictures_of_another_ratio_are_cut_as_latents_too(target: tuple[int, int]) -> None:
    latents = np.random.default_rng(0).integers(0, 256, (1, 4, 8, 16)).astype(np.float32)
    (picture,) = await Vae().decode(latents)
    larger = np.asarray(Image.fromarray(picture).resize(whole(target), Image.Resampling.NEAREST))
    height, width = (extent // SCALE * SCALE for extent in larger.shape[:2])
    theirs = truncated(larger[None, None, :height:SCALE, :width:SCALE, 0], target)
    ours = await begun(target, "nearest", latents)
    np.testing.assert_allclose(ours, theirs.repeat(4, 1), atol=1e-3)


def test_what_the_whole_would_be_is_limited_too() -> None:
    with pytest.raises(
        InvalidArgumentError, match=r"is the middle of 640 x 320, more than the 204799 pixels"
    ) as caught:
        hires_of((136, 320), "latent", Limits(max_upscaled_pixels=640 * 320 - 1))
    assert caught.value.metadata["field"] == "hires.width"

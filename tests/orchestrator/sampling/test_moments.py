"""Latents drawn from moments as diffusers' image-to-image draws them, and the noise after them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, StableDiffusionImg2ImgPipeline
from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

from triptych_orchestrator.sampling.moments import draw_latents
from triptych_orchestrator.sampling.noise import Generator, draw
from triptych_orchestrator.sampling.schedulers import make_solver

FACTOR = 0.18215
CONFIG: dict[str, Any] = {"_class_name": "DDIMScheduler", "beta_schedule": "scaled_linear"}


class Vae:
    """Stands for an encoder: what it is given comes out as moments."""

    config = SimpleNamespace(scaling_factor=FACTOR)

    def encode(self, image: torch.Tensor) -> Any:
        return SimpleNamespace(latent_dist=DiagonalGaussianDistribution(image))


def moments(pictures: int) -> np.ndarray:
    """Means, and variances from nothing to more than is allowed."""
    random = np.random.default_rng(0)
    mean = random.standard_normal((pictures, 4, 6, 5))
    return np.concatenate([mean, random.uniform(-40, 3, mean.shape)], axis=1).astype(np.float32)


@pytest.mark.filterwarnings("ignore:You have passed:FutureWarning")
@pytest.mark.parametrize("seeds", [[7], [7, 8, 9]])
@pytest.mark.parametrize("pictures", [1, 3])
def test_the_first_latents_are_diffusers_own(pictures: int, seeds: list[int]) -> None:
    scheduler = DDIMScheduler.from_config(CONFIG)
    scheduler.set_timesteps(10)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    theirs = StableDiffusionImg2ImgPipeline.prepare_latents(
        SimpleNamespace(vae=Vae(), scheduler=scheduler), torch.from_numpy(moments(pictures)),
        scheduler.timesteps[4:5].repeat(3), 1, 3, torch.float32, "cpu",
        generators if len(generators) > 1 else generators[0],
    )  # fmt: skip
    streams = [Generator(seed) for seed in seeds]
    original = np.float32(FACTOR) * draw_latents(moments(pictures), streams, 3)
    ours = make_solver("ddim", CONFIG, 10).add_noise(original, draw(streams, original.shape), 4)
    assert ours.dtype == np.float32 and ours.shape == (3, 4, 6, 5)
    np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-5)
    # Both streams are where the other is.
    after = [torch.randn(5, generator=generator).numpy() for generator in generators]
    np.testing.assert_allclose([stream.randn((5,)) for stream in streams], after, rtol=1e-6)

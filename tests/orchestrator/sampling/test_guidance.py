from __future__ import annotations

import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import rescale_noise_cfg

from triptych_orchestrator.sampling.guidance import classifier_free, combine, is_guided, rescale

RANDOM = np.random.default_rng(0)
FIRST, SECOND, THIRD = RANDOM.normal(size=(3, 2, 4, 16, 16)).astype(np.float32)


@pytest.mark.parametrize("scale", [1.5, 3.0, 7.5, 13.37, 1000.0])
def test_two_are_classifier_free_guidance_to_the_last_bit(scale: float) -> None:
    unconditional, conditional = torch.from_numpy(FIRST), torch.from_numpy(SECOND)
    theirs = unconditional + scale * (conditional - unconditional)  # StableDiffusionPipeline.__call__
    ours = combine([FIRST, SECOND], classifier_free(scale))
    assert ours.dtype == np.float32 and np.array_equal(ours, theirs.numpy())


@pytest.mark.parametrize("scale", [0.0, 0.5, 1.0])
def test_without_guidance_there_is_one(scale: float) -> None:
    assert not is_guided(scale)
    assert np.array_equal(combine([FIRST], classifier_free(scale)), FIRST)


def test_any_number_is_the_sum_of_what_each_weighs() -> None:
    left = np.zeros((16, 16), np.float32)
    left[:, :8] = 1
    weights = [np.float32(-5), 6 * left, 6 * (1 - left)]
    ours = combine([FIRST, SECOND, THIRD], weights)
    theirs = sum(w.astype(np.float64) * p for w, p in zip(weights, (FIRST, SECOND, THIRD), strict=True))
    assert ours.dtype == np.float32 and np.abs(ours - theirs).max() < 1e-5
    assert np.array_equal(ours[..., :8], combine([FIRST, SECOND], classifier_free(6.0))[..., :8])
    assert np.array_equal(ours[..., 8:], combine([FIRST, THIRD], classifier_free(6.0))[..., 8:])


def test_every_prediction_has_its_weight() -> None:
    with pytest.raises(ValueError, match="zip"):
        combine([FIRST, SECOND, THIRD], classifier_free(3.0))


@pytest.mark.parametrize("guidance_rescale", [0.3, 0.7, 1.0])
def test_rescaling_is_as_diffusers_does_it(guidance_rescale: float) -> None:
    guided = combine([FIRST, SECOND], classifier_free(7.5)) * np.array([1, 9], np.float32)[:, None, None, None]
    theirs = rescale_noise_cfg(torch.from_numpy(guided), torch.from_numpy(SECOND), guidance_rescale).numpy()
    ours = rescale(guided, SECOND, guidance_rescale)
    assert ours.dtype == np.float32 and np.abs(ours - theirs).max() < 1e-5
    assert np.abs(ours - guided).max() > 1

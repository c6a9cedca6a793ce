"""The first noise of a pass, against A1111's formula over torch's generators on the CPU."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.parity.formulas import torchs_first, torchs_noise
from triptych_orchestrator.sampling.variations import Randomness, Variation, slerp

SHAPE = (4, 8, 12)


@pytest.mark.parametrize("strength", [0.0, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("size", [None, (8, 12), (6, 9), (11, 15), (5, 20), (3, 40)])
def test_as_a1111(strength: float, size: tuple[int, int] | None) -> None:
    variation = Variation((11,), strength, size)
    ours = Randomness((7,), variation).first((2, *SHAPE))
    theirs = torchs_first(torchs_noise(7, (2, *SHAPE)), 7, 11, strength, size)
    assert ours.dtype == np.float32 and np.abs(ours - theirs.numpy()).max() < 1e-5


def test_no_variation_is_diffusers_noise() -> None:
    randomness, generator = Randomness((7,)), torch.Generator("cpu").manual_seed(7)
    for draw in (randomness.first, randomness.draw):
        expected = torch.randn((2, *SHAPE), generator=generator).numpy()
        assert np.abs(draw((2, *SHAPE)) - expected).max() < 1e-6


def test_later_noise_is_that_of_the_seeds_alone() -> None:
    plain, varied = Randomness((7,)), Randomness((7,), Variation((11,), 0.5, (6, 9)))
    plain.first((1, *SHAPE)), varied.first((1, *SHAPE))
    assert np.array_equal(plain.draw((1, *SHAPE)), varied.draw((1, *SHAPE)))


def test_each_picture_has_its_own_seeds() -> None:
    together = Randomness((7, 7, 8), Variation((11, 12, 11), 0.3)).first((3, *SHAPE))
    for row, (seed, subseed) in zip(together, ((7, 11), (7, 12), (8, 11)), strict=True):
        assert np.array_equal(row, Randomness((seed,), Variation((subseed,), 0.3)).first((1, *SHAPE))[0])


def test_one_and_the_same_noise_stays_what_it_is() -> None:
    noise = Randomness((7,)).first((1, *SHAPE))[0]
    assert np.abs(slerp(0.3, noise, noise) - noise).max() < 1e-6


def test_columns_along_one_line_are_blended_too() -> None:
    """A1111 makes NaN of these."""
    one, other = np.ones((4, 1, 8), np.float32), np.full((4, 1, 8), -3, np.float32)
    assert np.isfinite(slerp(0.25, one, other)).all()
    assert np.isfinite(slerp(0.25, np.concatenate([one, -one], 1), np.concatenate([one, 2 * one], 1))).all()

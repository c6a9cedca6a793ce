"""Latents are enlarged as torch does it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.parity.formulas import TORCHS
from triptych_orchestrator.sampling.interpolation import LATENT_UPSCALERS, enlarge_latents

SIZES = [
    ((8, 8), (16, 16)),
    ((9, 13), (12, 25)),
    ((7, 5), (7, 5)),
    ((8, 12), (9, 47)),
    ((64, 64), (96, 120)),
    ((1, 3), (5, 8)),
    ((11, 16), (7, 12)),
]


@pytest.mark.parametrize("name", LATENT_UPSCALERS)
@pytest.mark.parametrize(("before", "after"), SIZES)
def test_as_torch(name: str, before: tuple[int, int], after: tuple[int, int]) -> None:
    latents = np.random.default_rng(3).normal(size=(2, 4, *before)).astype(np.float32)
    expected = torch.nn.functional.interpolate(torch.from_numpy(latents), after, **TORCHS[name]).numpy()
    ours = enlarge_latents(name, latents, after)
    assert ours.dtype == np.float32 and np.abs(ours - expected).max() < 5e-6


def test_every_size_finds_torchs_neighbours() -> None:
    row = np.arange(256, dtype=np.float32)
    for inputs, outputs in [(i, o) for i in (8, 13, 64, 96, 100) for o in range(i, 256, 3)]:
        latents = row[None, None, None, :inputs]
        for name in ("latent_nearest", "latent_nearest_exact"):
            mode = TORCHS[name]["mode"]
            expected = torch.nn.functional.interpolate(torch.from_numpy(latents), (1, outputs), mode=str(mode)).numpy()
            assert np.array_equal(enlarge_latents(name, latents, (1, outputs)), expected), (name, inputs, outputs)

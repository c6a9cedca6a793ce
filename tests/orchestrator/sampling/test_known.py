"""What is put back after each step is diffusers': as noisy as the next step wants it, and at last without noise."""

from __future__ import annotations

import diffusers
import numpy as np
import pytest
import torch

from triptych_orchestrator.sampling.known import Known
from triptych_orchestrator.sampling.schedulers import SCHEDULERS, make_solver

CONFIG = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "skip_prk_steps": True}
SHAPE = (2, 4, 3, 5)


def normals(seed: int, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("name", SCHEDULERS)
def test_it_is_as_noisy_as_diffusers_has_it(name: str) -> None:
    info, steps = SCHEDULERS[name], 5
    theirs = getattr(diffusers, info.class_name).from_config(CONFIG, **info.overrides)
    theirs.set_timesteps(steps)
    if hasattr(theirs, "set_begin_index"):
        theirs.set_begin_index(0)
    solver = make_solver(name, CONFIG, steps)
    drawn = (normals(4, (1, 1, 3, 5)) > 0).astype(np.float32)
    known = Known(normals(0), normals(1), drawn)
    latents = torch.from_numpy(normals(2))
    for index, timestep in enumerate(theirs.timesteps):
        latents = theirs.step(torch.from_numpy(normals(3)), timestep, latents, return_dict=False)[0]
        expected = torch.from_numpy(known.original)
        if index < len(theirs.timesteps) - 1:
            following = theirs.timesteps[index + 1]
            expected = theirs.add_noise(expected, torch.from_numpy(known.noise), torch.tensor([following]))
        ours = known.put_back(solver, index, latents.numpy())
        mask = torch.from_numpy(drawn)
        np.testing.assert_allclose(ours, ((1 - mask) * expected + mask * latents).numpy(), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(ours[:, :, drawn[0, 0] == 0], known.original[:, :, drawn[0, 0] == 0])

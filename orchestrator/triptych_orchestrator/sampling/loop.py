"""The scheduler loop: a generator over the solver's timesteps that yields each state; it knows nothing of gRPC."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triptych_orchestrator.sampling.schedulers import Solver

Latents = npt.NDArray[np.float32]
# The model's prediction for latents [B, C, h, w], already scaled, at one timestep, which is that of the solver's
# evaluation of that index; guidance is inside.
Denoise = Callable[[Latents, float, int], Awaitable[Latents]]

# The state after an evaluation of that index, as the next one is to have it.
AfterStep = Callable[[int, Latents], Latents]


def unchanged(index: int, latents: Latents) -> Latents:
    """Where nothing is done to it."""
    return latents


@dataclass(frozen=True)
class LoopState:
    """After one step: `latents` is the new state, `noise_pred` and `previous` gave it.

    `step` counts this run's from 1 to `total`; `index` is the solver's own count, which a shortened run begins later.
    """

    step: int
    total: int
    index: int
    timestep: float
    latents: Latents
    noise_pred: Latents
    previous: Latents
    seconds: float
    """Of the model and the solver, not of whoever had the state before this one."""


async def sample(
    solver: Solver,
    latents: Latents,
    denoise: Denoise,
    draw_noise: Callable[[], Latents],
    evaluations: range | None = None,
    after_step: AfterStep = unchanged,
) -> AsyncIterator[LoopState]:
    """Runs the solver's `evaluations`, all of them where none are named, one yield a step.

    `latents` [B, C, h, w] are as noisy as the solver wants them there; see `Solver.from_noise` and `add_noise`.
    """
    indices = range(len(solver.timesteps)) if evaluations is None else evaluations
    for step, index in enumerate(indices, 1):
        began, timestep = time.monotonic(), float(solver.timesteps[index])
        noise_pred = await denoise(solver.scale_model_input(latents, index), timestep, index)
        previous, latents = latents, after_step(index, solver.step(noise_pred, index, latents, draw_noise))
        seconds = time.monotonic() - began
        yield LoopState(step, len(indices), index, timestep, latents, noise_pred, previous, seconds)

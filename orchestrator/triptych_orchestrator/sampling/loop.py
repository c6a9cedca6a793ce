"""The scheduler loop: a generator over the solver's timesteps that yields each state; it knows nothing of gRPC."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triptych_orchestrator.sampling.schedulers import Solver

Latents = npt.NDArray[np.float32]
# The model's prediction for latents [B, C, h, w], already scaled, at one timestep; guidance is inside.
Denoise = Callable[[Latents, float], Awaitable[Latents]]


@dataclass(frozen=True)
class LoopState:
    """After one step: `latents` is the new state, `noise_pred` and `previous` gave it."""

    index: int
    total: int
    timestep: float
    latents: Latents
    noise_pred: Latents
    previous: Latents
    seconds: float
    """Of the model and the solver, not of whoever had the state before this one."""


async def sample(
    solver: Solver, latents: Latents, denoise: Denoise, draw_noise: Callable[[], Latents]
) -> AsyncIterator[LoopState]:
    """Runs the solver from noise [B, C, h, w] of unit variance to latents, one yield a step."""
    latents = latents * np.float32(solver.init_noise_sigma)
    total = len(solver.timesteps)
    for index, timestep in enumerate(solver.timesteps):
        began = time.monotonic()
        noise_pred = await denoise(solver.scale_model_input(latents, index), float(timestep))
        previous, latents = latents, solver.step(noise_pred, index, latents, draw_noise)
        seconds = time.monotonic() - began
        yield LoopState(index, total, float(timestep), latents, noise_pred, previous, seconds)

"""Euler's method with ancestral noise: each step overshoots downwards in σ and comes back by fresh noise."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from triptych_orchestrator.sampling.schedulers import sigmas
from triptych_orchestrator.sampling.schedulers.base import Array, root
from triptych_orchestrator.sampling.schedulers.config import SchedulerConfig
from triptych_orchestrator.sampling.schedulers.euler import SigmaSolver


class EulerAncestralSolver(SigmaSolver):
    """Ancestral sampling of the σ process, Song et al. 2020 (arXiv:2011.13456), appendix F."""

    prediction_types = ("epsilon", "v_prediction")

    def __init__(self, config: SchedulerConfig, num_inference_steps: int, *, eta: float = 0.0) -> None:
        super().__init__(config, num_inference_steps, eta=eta)
        timesteps = self.schedule.spaced_timesteps(num_inference_steps).astype(np.float32)
        steps = sigmas.at_timesteps(timesteps.astype(np.float64), self.schedule.sigmas())
        self._start(timesteps, np.append(steps, 0.0).astype(np.float32))

    def step(self, noise_pred: Array, index: int, latents: Array, draw_noise: Callable[[], Array]) -> Array:
        """σ_down² + σ_up² = σ_next²; the last step draws too, with σ_up = 0, as diffusers does."""
        before: np.float32 = np.square(self._sigmas[index])
        after: np.float32 = np.square(self._sigmas[index + 1])
        sigma_up = root(after * (before - after) / before)
        sigma_down = root(max(after - sigma_up * sigma_up, np.float32(0.0)))  # rounding may pass zero
        return self._towards(sigma_down, noise_pred, index, latents) + draw_noise() * sigma_up

"""Euler's method in σ, Karras et al. 2022 (arXiv:2206.00364), algorithm 2 without churn."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from triptych_orchestrator.sampling.schedulers import sigmas
from triptych_orchestrator.sampling.schedulers.base import ONE, Array, Solver, root
from triptych_orchestrator.sampling.schedulers.config import SchedulerConfig


class SigmaSolver(Solver):
    """What Euler's solvers share: latents x = x_0 + σ ε, shown to the model divided by √(σ² + 1)."""

    _sigmas: Array

    def _start(self, timesteps: Array, steps: Array) -> None:
        self.timesteps, self._sigmas = timesteps, steps
        highest: np.float32 = steps.max()
        wide = self.schedule.timestep_spacing == "leading"
        self.init_noise_sigma = float(root(highest * highest + ONE) if wide else highest)

    def add_noise(self, original: Array, noise: Array, index: int) -> Array:
        """x_0 + σ ε."""
        sigma: np.float32 = self._sigmas[index]
        return original + noise * sigma

    def scale_model_input(self, latents: Array, index: int) -> Array:
        """Unit variance for the model."""
        sigma: np.float32 = self._sigmas[index]
        return latents / root(sigma * sigma + ONE)

    def predict_original(self, noise_pred: Array, index: int, latents: Array) -> Array:
        """The denoised x_0, Karras et al., eq. 7."""
        sigma: np.float32 = self._sigmas[index]
        match self.schedule.prediction_type:
            case "epsilon":
                return latents - sigma * noise_pred
            case "v_prediction":
                square = sigma * sigma + ONE
                return noise_pred * (-sigma / root(square)) + latents / square
            case _:
                return noise_pred

    def _towards(self, sigma_next: np.float32, noise_pred: Array, index: int, latents: Array) -> Array:
        sigma: np.float32 = self._sigmas[index]
        slope = (latents - self.predict_original(noise_pred, index, latents)) / sigma
        return latents + slope * (sigma_next - sigma)


class EulerSolver(SigmaSolver):
    """The deterministic one, with Karras or exponential σ where the config asks for them."""

    def __init__(self, config: SchedulerConfig, num_inference_steps: int, *, eta: float = 0.0) -> None:
        super().__init__(config, num_inference_steps, eta=eta)
        config.choice("interpolation_type", "linear", ("linear",))
        if self.schedule.prediction_type == "v_prediction":
            config.choice("timestep_type", "discrete", ("discrete",))

        training = self.schedule.sigmas()
        timesteps = self.schedule.spaced_timesteps(num_inference_steps).astype(np.float32).astype(np.float64)
        steps = sigmas.at_timesteps(timesteps, training)
        other = sigmas.respaced(config, float(steps[0]), float(steps[-1]), num_inference_steps)
        if other is not None:
            timesteps, steps = sigmas.to_timesteps(other, training), other
        self._start(timesteps.astype(np.float32), sigmas.with_final(config, steps, training))

    def step(self, noise_pred: Array, index: int, latents: Array, draw_noise: Callable[[], Array]) -> Array:
        """One straight step to the next σ."""
        return self._towards(self._sigmas[index + 1], noise_pred, index, latents)

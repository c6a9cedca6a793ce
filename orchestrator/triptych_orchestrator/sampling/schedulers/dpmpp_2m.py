"""DPM-Solver++ (2M), Lu et al. 2022 (arXiv:2211.01095), algorithm 2: second order, by one step of memory."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from triptych.errors import invalid
from triptych_orchestrator.sampling.schedulers import sigmas
from triptych_orchestrator.sampling.schedulers.base import ONE, Array, Solver
from triptych_orchestrator.sampling.schedulers.betas import BETA_SCHEDULES
from triptych_orchestrator.sampling.schedulers.config import SchedulerConfig

_FEW_STEPS = 15
"""Below this, `lower_order_final` makes the last step a first-order one."""


class DPMSolverPP2M(Solver):
    """α_t, σ_t and λ_t = log(α_t / σ_t) are the paper's, one for each step and one for the end."""

    def __init__(self, config: SchedulerConfig, num_inference_steps: int, *, eta: float = 0.0) -> None:
        super().__init__(config, num_inference_steps, eta=eta)
        config.choice("algorithm_type", "dpmsolver++", ("dpmsolver++", "deis"))  # diffusers maps other classes' names
        kind = config.choice("solver_type", "midpoint", ("midpoint", "heun", "logrho", "bh1", "bh2"))
        config.refuse("thresholding")
        config.refuse("variance_type", "learned", "learned_range")
        config.refuse("use_flow_sigmas")
        config.refuse("solver_order", 3)
        self._is_heun = kind == "heun"
        self._is_first_order = config.integer("solver_order", 2, 1, 2) == 1
        self._previous_original: Array | None = None

        training = self.schedule.sigmas()
        self.timesteps, steps = self._levels(config, training)
        levels = sigmas.with_final(config, steps, training)
        if not np.all(np.diff(levels[:-1]) < 0):
            raise invalid("num_inference_steps", f"{num_inference_steps} steps repeat a timestep; ask for fewer")
        self._alpha_t = ONE / np.sqrt(levels * levels + ONE)
        self._sigma_t = levels * self._alpha_t
        with np.errstate(divide="ignore"):  # λ is infinite where σ ends at zero
            self._lambda_t = np.log(self._alpha_t) - np.log(self._sigma_t)
        few = config.flag("lower_order_final", True) and len(self.timesteps) < _FEW_STEPS
        self._ends_first_order = few or config.flag("euler_at_final", False) or levels[-1] == 0.0

    def _levels(self, config: SchedulerConfig, training: Array) -> tuple[Array, sigmas.Doubles]:
        """Timesteps, and σ before the final one; Karras' σ come before Lu's λ where both are switched on."""
        is_karras = config.flag("use_karras_sigmas", False)
        if not is_karras:
            config.refuse("use_lu_lambdas")
        other = sigmas.respaced(config, float(training[-1]), float(training[0]), self.num_inference_steps)
        if other is None:
            timesteps = self._spaced(config, training)
            return timesteps.astype(np.float32), sigmas.at_timesteps(timesteps, training)
        timesteps = sigmas.to_timesteps(other, training)
        is_cosine = config.choice("beta_schedule", "linear", BETA_SCHEDULES) == "squaredcos_cap_v2"
        if is_karras and not is_cosine:
            timesteps = timesteps.round()
        return timesteps.astype(np.int64).astype(np.float32), other

    def _spaced(self, config: SchedulerConfig, training: Array) -> sigmas.Doubles:
        """Whole timesteps; linspace and leading take one too many and leave out the quiet end."""
        count = self.num_inference_steps
        lambda_t = -np.log(training)
        total = int(np.count_nonzero(lambda_t >= config.number("lambda_min_clipped", -math.inf)))
        if self.schedule.timestep_spacing == "trailing":
            return self.schedule.spaced_timesteps(count, total)
        return self.schedule.spaced_timesteps(count + 1, total).round()[:-1]

    def add_noise(self, original: Array, noise: Array, index: int) -> Array:
        """α x_0 + σ ε."""
        alpha: np.float32 = self._alpha_t[index]
        sigma: np.float32 = self._sigma_t[index]
        return alpha * original + sigma * noise

    def step(self, noise_pred: Array, index: int, latents: Array, draw_noise: Callable[[], Array]) -> Array:
        """Second order from the second step on, except for an end that would be unstable."""
        original = self.predict_original(noise_pred, index, latents)
        previous, self._previous_original = self._previous_original, original
        h: np.float32 = self._lambda_t[index + 1] - self._lambda_t[index]
        gain: np.float32 = self._alpha_t[index + 1] * (np.exp(-h) - ONE)
        ratio: np.float32 = self._sigma_t[index + 1] / self._sigma_t[index]
        following = ratio * latents - gain * original
        is_end = index == len(self.timesteps) - 1 and self._ends_first_order
        if previous is None or is_end or self._is_first_order:
            return following
        with np.errstate(divide="ignore"):  # h is zero where the last timestep is 0 and σ ends at its minimum
            r: np.float32 = (self._lambda_t[index] - self._lambda_t[index - 1]) / h
        inverse: np.float32 = ONE / r
        slope = inverse * (original - previous)
        if self._is_heun:
            weight: np.float32 = self._alpha_t[index + 1] * ((np.exp(-h) - ONE) / h + ONE)
            return np.asarray(following + weight * slope)
        return np.asarray(following - np.float32(0.5) * gain * slope)

    def predict_original(self, noise_pred: Array, index: int, latents: Array) -> Array:
        """x_0, the paper's data prediction."""
        alpha: np.float32 = self._alpha_t[index]
        sigma: np.float32 = self._sigma_t[index]
        match self.schedule.prediction_type:
            case "epsilon":
                return (latents - sigma * noise_pred) / alpha
            case "v_prediction":
                return alpha * latents - sigma * noise_pred
            case _:
                return noise_pred

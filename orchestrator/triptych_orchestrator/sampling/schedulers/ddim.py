"""DDIM, Song et al. 2020 (arXiv:2010.02502), with η between the deterministic sampler (0) and DDPM (1)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from triptych_orchestrator.sampling.schedulers.base import ONE, Array, Solver, root
from triptych_orchestrator.sampling.schedulers.config import SchedulerConfig, unsupported


class DDIMSolver(Solver):
    """Equation 12 of the paper; its α is our ᾱ."""

    default_spacing = "leading"

    def __init__(self, config: SchedulerConfig, num_inference_steps: int, *, eta: float = 0.0) -> None:
        super().__init__(config, num_inference_steps, eta=eta)
        config.refuse("thresholding")
        clips = config.flag("clip_sample", True)
        self._clip_range = np.float32(config.number("clip_sample_range", 1.0, 0.0)) if clips else None

        alphas = self.schedule.alphas_cumprod
        timesteps = self._whole_timesteps()
        previous = timesteps - self.schedule.num_train_timesteps // num_inference_steps
        final_alpha = ONE if config.flag("set_alpha_to_one", True) else alphas[0]
        self._alphas = alphas[timesteps]
        self._previous_alphas = np.where(previous >= 0, alphas[previous], final_alpha)
        self.timesteps = timesteps.astype(np.float32)
        if self.schedule.prediction_type == "epsilon" and not self._alphas.all():
            raise unsupported("prediction_type", "epsilon cannot start from a terminal SNR of zero")

    def step(self, noise_pred: Array, index: int, latents: Array, draw_noise: Callable[[], Array]) -> Array:
        """Equation 12, with the σ of equation 16."""
        alpha: np.float32 = self._alphas[index]
        previous: np.float32 = self._previous_alphas[index]
        original = self.predict_original(noise_pred, index, latents)
        variance = (ONE - previous) / (ONE - alpha) * (ONE - alpha / previous)
        sigma = np.float32(self.eta) * root(variance)
        remaining = max(ONE - previous - sigma * sigma, np.float32(0.0))  # rounding may pass zero
        direction = root(remaining) * self._noise(noise_pred, alpha, latents)
        following = root(previous) * original + direction
        return following + sigma * draw_noise() if self.eta > 0 else following

    def predict_original(self, noise_pred: Array, index: int, latents: Array) -> Array:
        """The "predicted x_0" of equation 12, clipped where the config says so."""
        original = self._unclipped(noise_pred, self._alphas[index], latents)
        return original if self._clip_range is None else np.clip(original, -self._clip_range, self._clip_range)

    def _unclipped(self, noise_pred: Array, alpha: np.float32, latents: Array) -> Array:
        signal, noise = root(alpha), root(ONE - alpha)
        match self.schedule.prediction_type:
            case "epsilon":
                return (latents - noise * noise_pred) / signal
            case "v_prediction":  # Salimans & Ho 2022 (arXiv:2202.00512), appendix D
                return signal * latents - noise * noise_pred
            case _:
                return noise_pred

    def _noise(self, noise_pred: Array, alpha: np.float32, latents: Array) -> Array:
        """ε, from the prediction as it came, clipped or not."""
        signal, noise = root(alpha), root(ONE - alpha)
        match self.schedule.prediction_type:
            case "epsilon":
                return noise_pred
            case "v_prediction":
                return signal * noise_pred + noise * latents
            case _:
                return (latents - signal * noise_pred) / noise

"""PNDM, Liu et al. 2022 (arXiv:2202.09778): linear multistep on ε, with or without the Runge-Kutta start.

Stable Diffusion's own configs skip the start (`skip_prk_steps`), which is the PLMS sampler: its second
evaluation repeats a timestep, so that n steps evaluate the model n + 1 times.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from triptych.errors import invalid
from triptych_orchestrator.sampling.schedulers.base import ONE, Array, Solver, root
from triptych_orchestrator.sampling.schedulers.config import SchedulerConfig

_ORDER = 4
_RUNGE_KUTTA = (1, 2, 2, 1)
_ADAMS_BASHFORTH = ((1,), (3, -1), (23, -16, 5), (55, -59, 37, -9))
"""Weights of the newest prediction first; each row is divided by the sum of its numbers."""


class PNDMSolver(Solver):
    """Keeps the last four predictions, e_t in the paper, and the x that a jump starts from."""

    default_spacing = "leading"
    prediction_types = ("epsilon", "v_prediction")
    rescalable = False

    def __init__(self, config: SchedulerConfig, num_inference_steps: int, *, eta: float = 0.0) -> None:
        super().__init__(config, num_inference_steps, eta=eta)
        self._stride = self.schedule.num_train_timesteps // num_inference_steps
        timesteps = self._whole_timesteps()
        if config.flag("skip_prk_steps", False):
            self._start = np.empty(0, np.int64)
            self._whole = np.concatenate([timesteps[:2], timesteps[1:]])
        else:
            self._start = self._runge_kutta_timesteps(timesteps)
            self._whole = np.concatenate([self._start, timesteps[3:]])
        self.timesteps = self._whole.astype(np.float32)

        alphas = self.schedule.alphas_cumprod
        self._final_alpha = ONE if config.flag("set_alpha_to_one", False) else alphas[0]
        self._predictions: deque[Array] = deque(maxlen=_ORDER)
        self._evaluations = 0
        self._jump_start: Array | None = None
        self._jump_slopes: list[Array] = []

    def _runge_kutta_timesteps(self, timesteps: NDArray[np.int64]) -> NDArray[np.int64]:
        """Three jumps of four evaluations: at the start, twice half-way, at the end."""
        if len(timesteps) < _ORDER:
            raise invalid("num_inference_steps", f"this scheduler's Runge-Kutta start needs at least {_ORDER}")
        jumps = timesteps[1:_ORDER]
        visits = np.stack([jumps + self._stride // 2, jumps], axis=1).reshape(-1)
        return np.concatenate([timesteps[:1], np.repeat(visits, 2)[:-1]])

    def step(self, noise_pred: Array, index: int, latents: Array, draw_noise: Callable[[], Array]) -> Array:
        """One evaluation's part of a Runge-Kutta jump, or one multistep step."""
        evaluation, self._evaluations = self._evaluations, self._evaluations + 1
        if evaluation < len(self._start):
            return self._runge_kutta(noise_pred, evaluation, index, latents)
        return self._multistep(noise_pred, evaluation, index, latents)

    def predict_original(self, noise_pred: Array, index: int, latents: Array) -> Array:
        """x_0 = (x_t - √(1 - ᾱ_t) ε) / √ᾱ_t."""
        alpha: np.float32 = self.schedule.alphas_cumprod[self._whole[index]]
        signal, noise = root(alpha), root(ONE - alpha)
        if self.schedule.prediction_type == "v_prediction":
            return signal * latents - noise * noise_pred
        return (latents - noise * noise_pred) / signal

    def _runge_kutta(self, noise_pred: Array, evaluation: int, index: int, latents: Array) -> Array:
        """The paper's equation 13: slopes at the start, twice half-way and at the end, weighed at the end."""
        stage = evaluation % 4
        if stage == 0:
            self._predictions.append(noise_pred)
            self._jump_start, self._jump_slopes = latents, []
        self._jump_slopes.append(noise_pred)
        slope = _weighed(self._jump_slopes, _RUNGE_KUTTA) if stage == 3 else noise_pred
        before = self._whole[index]
        after = before - (0 if stage % 2 else self._stride // 2)
        return self._transfer(self._started(latents), self._start[evaluation - stage], after, slope)

    def _multistep(self, noise_pred: Array, evaluation: int, index: int, latents: Array) -> Array:
        """The paper's equation 12, of as high an order as there are predictions."""
        before = self._whole[index]
        if evaluation == 1:  # the first step over again, with the mean of the slopes at its two ends
            slope = (noise_pred + self._predictions[-1]) / np.float32(2.0)
            return self._transfer(self._started(latents), before + self._stride, before, slope)
        if evaluation == 0:
            self._jump_start = latents
        self._predictions.append(noise_pred)
        newest_first = list(self._predictions)[::-1]
        slope = _weighed(newest_first, _ADAMS_BASHFORTH[len(newest_first) - 1])
        return self._transfer(latents, before, before - self._stride, slope)

    def _started(self, latents: Array) -> Array:
        return latents if self._jump_start is None else self._jump_start

    def _transfer(self, latents: Array, before: int, after: int, slope: Array) -> Array:
        """The paper's equation 9: from x at `before` to x at `after` along ε."""
        alpha: np.float32 = self.schedule.alphas_cumprod[before]
        following: np.float32 = self.schedule.alphas_cumprod[after] if after >= 0 else self._final_alpha
        noise = slope
        if self.schedule.prediction_type == "v_prediction":
            noise = root(alpha) * slope + root(ONE - alpha) * latents
        scale = alpha * root(ONE - following) + root(alpha * (ONE - alpha) * following)
        return root(following / alpha) * latents - (following - alpha) * noise / scale


def _weighed(slopes: Sequence[Array], weights: tuple[int, ...]) -> Array:
    """Weighted mean, float32."""
    weighted = [np.float32(weight) * slope for weight, slope in zip(weights, slopes, strict=True)]
    return np.asarray(sum(weighted[1:], weighted[0]) / np.float32(sum(weights)), np.float32)

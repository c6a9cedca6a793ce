"""The noise schedule a checkpoint was trained with, and the port that every solver implements.

Names against the literature: `betas` is β, `alphas_cumprod` is the ᾱ_t of Ho et al. 2020 (arXiv:2006.11239,
eq. 4), so that x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε. Arithmetic is float32 wherever diffusers' is, so that pictures
agree.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from triptych.errors import invalid
from triptych_orchestrator.sampling.schedulers.betas import training_betas
from triptych_orchestrator.sampling.schedulers.config import SchedulerConfig, config_invalid

Array = NDArray[np.float32]
ONE = np.float32(1.0)
"""A Python number beside a float32 scalar would turn the result into float64."""

PREDICTION_TYPES = ("epsilon", "v_prediction", "sample")
_SPACINGS = ("linspace", "leading", "trailing")
_SMALLEST_HALF = np.float32(2.0**-24)


@dataclass(frozen=True, eq=False)
class NoiseSchedule:
    """The training schedule, float32 [num_train_timesteps], and how inference picks its timesteps from it."""

    betas: Array
    alphas_cumprod: Array
    prediction_type: str
    timestep_spacing: str
    steps_offset: int

    @classmethod
    def from_config(
        cls,
        config: SchedulerConfig,
        default_spacing: str,
        prediction_types: tuple[str, ...],
        rescalable: bool,
    ) -> NoiseSchedule:
        """Read the keys that all schedulers share."""
        betas = training_betas(config, rescalable)
        # torch.cumprod accumulates float32 in double precision
        alphas_cumprod = np.cumprod((ONE - betas).astype(np.float64)).astype(np.float32)
        if np.count_nonzero(alphas_cumprod == 0.0) > np.count_nonzero(betas == 1.0):
            raise config_invalid("beta_schedule", "its noise drowns the signal before the last timestep")
        return cls(
            betas=betas,
            alphas_cumprod=alphas_cumprod,
            prediction_type=config.choice("prediction_type", "epsilon", prediction_types),
            timestep_spacing=config.choice("timestep_spacing", default_spacing, _SPACINGS),
            steps_offset=config.integer("steps_offset", 0, 0, len(betas)),
        )

    @property
    def num_train_timesteps(self) -> int:
        """How many timesteps the model was trained on; the first is 0."""
        return len(self.alphas_cumprod)

    def sigmas(self) -> Array:
        """σ_t = √((1 - ᾱ_t) / ᾱ_t), Karras et al. 2022 (arXiv:2206.00364), finite at zero SNR too."""
        alphas = self.alphas_cumprod.copy()
        if alphas[-1] == 0.0:
            alphas[-1] = _SMALLEST_HALF
        return np.asarray(np.sqrt((ONE - alphas) / alphas), np.float32)

    def spaced_timesteps(self, count: int, total: int | None = None) -> NDArray[np.float64]:
        """Descending timesteps, Lin et al. 2023 (arXiv:2305.08891), table 2; linspace's are not rounded."""
        total = self.num_train_timesteps if total is None else total
        if self.timestep_spacing == "linspace":
            return np.linspace(0, total - 1, count)[::-1]
        if self.timestep_spacing == "leading":
            return (np.arange(count) * (total // count))[::-1].astype(np.float64) + self.steps_offset
        steps = np.round(np.arange(total, 0, -self.num_train_timesteps / count)) - 1
        # The float stride yields one step too many at some counts (61 of 1000), and that step would be -1
        return np.asarray(steps[steps >= 0], np.float64)


def root(value: np.float32) -> np.float32:
    """Square root of a float32 scalar, float32."""
    return np.float32(np.sqrt(value))


class Solver(ABC):
    """One request's scheduler: made for a number of steps, asked once for each model evaluation, in order.

    Latents and predictions are float32 [B, C, h, w]; `index` counts model evaluations, and points into
    `timesteps`.
    """

    default_spacing: ClassVar[str] = "linspace"
    prediction_types: ClassVar[tuple[str, ...]] = PREDICTION_TYPES
    rescalable: ClassVar[bool] = True

    timesteps: Array
    """What the UNet is given, one for each model evaluation; not always num_inference_steps of them."""
    init_noise_sigma: float = 1.0

    def __init__(self, config: SchedulerConfig, num_inference_steps: int, *, eta: float = 0.0) -> None:
        self.schedule = NoiseSchedule.from_config(config, self.default_spacing, self.prediction_types, self.rescalable)
        last = self.schedule.num_train_timesteps
        if not 1 <= num_inference_steps <= last:
            raise invalid("num_inference_steps", f"{num_inference_steps} is not from 1 to {last}")
        self.num_inference_steps = num_inference_steps
        self.eta = eta

    def first_index(self, strength: float) -> int:
        """The evaluation with which a shortened run begins: the last `strength` of all steps are done.

        Counted in steps as diffusers counts, so that PNDM's repeated timestep is one evaluation more here too.
        """
        return self.num_inference_steps - min(int(self.num_inference_steps * strength), self.num_inference_steps)

    def evaluations(self, strength: float = 1.0, start: float = 0.0, end: float = 1.0) -> range:
        """Those that a run does: the last `strength` of all steps, as far as they lie between `start` and `end`.

        These two are shares of the training schedule, as diffusers' `denoising_start` and `denoising_end`: what ends at
        one of them and what starts there do all evaluations between them, and none twice.
        """
        return range(max(self.first_index(strength), self._handover(start)), self._handover(end))

    def _handover(self, share: float) -> int:
        """The first evaluation of whoever starts there; in diffusers' arithmetic, for halves are rounded to even."""
        last = self.schedule.num_train_timesteps
        return int(np.count_nonzero(self.timesteps >= round(last - share * last)))

    def from_noise(self, noise: Array) -> Array:
        """What a whole run begins with, made of noise of unit variance."""
        return noise * np.float32(self.init_noise_sigma)

    def add_noise(self, original: Array, noise: Array, index: int) -> Array:
        """What a run that begins at `index` begins with, made of latents x_0: Ho et al., eq. 4."""
        alpha: np.float32 = self.schedule.alphas_cumprod[int(self.timesteps[index])]
        return root(alpha) * original + root(ONE - alpha) * noise

    def scale_model_input(self, latents: Array, index: int) -> Array:
        """The latents as the model is to see them."""
        return latents

    @abstractmethod
    def step(self, noise_pred: Array, index: int, latents: Array, draw_noise: Callable[[], Array]) -> Array:
        """The next latents; `draw_noise` gives fresh noise of the latents' shape and moves its stream."""

    @abstractmethod
    def predict_original(self, noise_pred: Array, index: int, latents: Array) -> Array:
        """The x_0 that this prediction implies, for previews; changes no state."""

    def _whole_timesteps(self) -> NDArray[np.int64]:
        """Descending timesteps that index the training schedule."""
        timesteps = self.schedule.spaced_timesteps(self.num_inference_steps).round().astype(np.int64)
        if timesteps[0] >= self.schedule.num_train_timesteps:
            most = self.schedule.num_train_timesteps // (1 + self.schedule.steps_offset)
            raise invalid(
                "num_inference_steps",
                f"{self.num_inference_steps} steps and the checkpoint's steps_offset pass the last timestep; "
                f"up to {most} always fit",
            )
        return timesteps

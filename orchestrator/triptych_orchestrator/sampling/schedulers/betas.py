"""The β of a training schedule, as diffusers computes them in float32."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from triptych_orchestrator.sampling.schedulers.config import SchedulerConfig, config_invalid

BETA_SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")
_MOST_TRAIN_TIMESTEPS = 100_000


def training_betas(config: SchedulerConfig, rescalable: bool) -> NDArray[np.float32]:
    """β, float32 [num_train_timesteps]; `rescalable` where the scheduler knows `rescale_betas_zero_snr`."""
    count = config.integer("num_train_timesteps", 1000, 1, _MOST_TRAIN_TIMESTEPS)
    trained = config.numbers("trained_betas")
    betas = _named(config, count) if trained is None else _trained(trained, count)
    if rescalable and config.flag("rescale_betas_zero_snr", False):
        return zero_terminal_snr(betas)
    return betas


def zero_terminal_snr(betas: NDArray[np.float32]) -> NDArray[np.float32]:
    """Lin et al. 2023 (arXiv:2305.08891), algorithm 1: √ᾱ shifted to end at 0, scaled to start as before."""
    one = np.float32(1.0)
    root = np.sqrt(np.cumprod((one - betas).astype(np.float64)).astype(np.float32))
    first, last = root[0], root[-1]
    if first == last:
        raise config_invalid("rescale_betas_zero_snr", "needs a schedule of more than one timestep")
    alphas_cumprod = np.square((root - last) * (first / (first - last)))
    alphas = np.concatenate([alphas_cumprod[:1], alphas_cumprod[1:] / alphas_cumprod[:-1]])
    return np.asarray(one - alphas, np.float32)


def _trained(values: list[float], count: int) -> NDArray[np.float32]:
    betas = np.asarray(values, np.float32)
    if len(betas) != count or not np.all((betas >= 0) & (betas < 1)):
        raise config_invalid("trained_betas", f"needs num_train_timesteps = {count} values in [0, 1)")
    return betas


def _named(config: SchedulerConfig, count: int) -> NDArray[np.float32]:
    name = config.choice("beta_schedule", "linear", BETA_SCHEDULES)
    if name == "squaredcos_cap_v2":
        return _squared_cosine(count)
    below_one = math.nextafter(1.0, 0.0)
    start = config.number("beta_start", 0.0001, 0.0, below_one)
    end = config.number("beta_end", 0.02, 0.0, below_one)
    if name == "linear":
        return _linspace(start, end, count)
    return np.square(_linspace(math.sqrt(start), math.sqrt(end), count))


def _linspace(start: float, end: float, count: int) -> NDArray[np.float32]:
    """torch.linspace to the bit: a float32 stride from the nearer end, rounded once a value."""
    first, last = np.float32(start), np.float32(end)
    if count == 1:
        return np.array([first], np.float32)
    stride = np.float64((last - first) / np.float32(count - 1))
    index = np.arange(count)
    upwards = np.float64(first) + stride * index
    downwards = np.float64(last) - stride * (count - 1 - index)
    return np.where(index < count // 2, upwards, downwards).astype(np.float32)


def _squared_cosine(count: int) -> NDArray[np.float32]:
    """Nichol & Dhariwal 2021 (arXiv:2102.09672), eq. 17, β capped at 0.999."""
    alpha_bar = [math.cos((step / count + 0.008) / 1.008 * math.pi / 2) ** 2 for step in range(count + 1)]
    return np.array([min(1 - after / before, 0.999) for before, after in pairwise(alpha_bar)], np.float32)

"""Noise levels for the solvers that step in σ: interpolated, Karras or exponential, and back to timesteps."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from triptych_orchestrator.sampling.schedulers.base import Array
from triptych_orchestrator.sampling.schedulers.config import SchedulerConfig, unsupported

Doubles = NDArray[np.float64]

_RHO = 7.0
_LARGEST_SIGMA = 1e9


def at_timesteps(timesteps: Doubles, training_sigmas: Array) -> Doubles:
    """The training σ, interpolated between whole timesteps."""
    return np.interp(timesteps, np.arange(len(training_sigmas)), training_sigmas)


def to_timesteps(sigmas: Doubles, training_sigmas: Array) -> Doubles:
    """The fractional timesteps at which training saw these σ: linear in log σ, as k-diffusion has it."""
    logs = np.log(training_sigmas)
    wanted = np.log(np.maximum(sigmas, 1e-10))
    low = np.clip(np.searchsorted(logs, wanted, side="right") - 1, 0, len(logs) - 2)
    weight = np.clip((logs[low] - wanted) / (logs[low] - logs[low + 1]), 0.0, 1.0)
    # Rounding must not take the last timestep below itself: DPM-Solver++ cuts the fraction off
    weight[wanted > logs[-1] - 1e-6] = 1.0
    return np.asarray((1 - weight) * low + weight * (low + 1))


def respaced(config: SchedulerConfig, highest: float, lowest: float, count: int) -> Doubles | None:
    """Descending σ of the spacing that the config switches on, or nothing where it leaves the timesteps' own.

    `sigma_max` and `sigma_min` of the config come before the `highest` and `lowest` that the caller proposes.
    """
    config.refuse("use_beta_sigmas")
    karras = config.flag("use_karras_sigmas", False)
    exponential = config.flag("use_exponential_sigmas", False)
    if karras and exponential:
        raise unsupported("use_exponential_sigmas", "excludes use_karras_sigmas")
    if not karras and not exponential:
        return None
    tiny = math.ulp(0.0)
    sigma_max = config.optional_number("sigma_max", tiny, _LARGEST_SIGMA) or highest
    sigma_min = config.optional_number("sigma_min", tiny, _LARGEST_SIGMA) or lowest
    if exponential:
        return np.asarray(np.exp(np.linspace(math.log(sigma_max), math.log(sigma_min), count)))
    # Karras et al. 2022 (arXiv:2206.00364), eq. 5
    first, last = sigma_max ** (1 / _RHO), sigma_min ** (1 / _RHO)
    return np.asarray((first + np.linspace(0, 1, count) * (last - first)) ** _RHO)


def with_final(config: SchedulerConfig, sigmas: Doubles, training_sigmas: Array) -> Array:
    """The σ of every step and the one that the last step ends at, float32 [steps + 1]."""
    kind = config.choice("final_sigmas_type", "zero", ("zero", "sigma_min"))
    final = 0.0 if kind == "zero" else training_sigmas[0]
    return np.append(sigmas, final).astype(np.float32)

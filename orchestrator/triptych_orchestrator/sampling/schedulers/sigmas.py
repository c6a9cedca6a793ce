"""Noise levels for the solvers that step in σ: interpolated, Karras or exponential, and back to timesteps."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

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
    asked = [spacing for spacing in SPACINGS.values() if config.flag(spacing.key, False)]
    if len(asked) > 1:
        raise unsupported(asked[1].key, f"excludes {asked[0].key}")
    if not asked:
        return None
    tiny = math.ulp(0.0)
    sigma_max = config.optional_number("sigma_max", tiny, _LARGEST_SIGMA) or highest
    sigma_min = config.optional_number("sigma_min", tiny, _LARGEST_SIGMA) or lowest
    return asked[0].sigmas(sigma_max, sigma_min, count)


def _karras(highest: float, lowest: float, count: int) -> Doubles:
    """Karras et al. 2022 (arXiv:2206.00364), eq. 5."""
    first, last = highest ** (1 / _RHO), lowest ** (1 / _RHO)
    return np.asarray((first + np.linspace(0, 1, count) * (last - first)) ** _RHO)


def _exponential(highest: float, lowest: float, count: int) -> Doubles:
    """Evenly spaced in log σ."""
    return np.asarray(np.exp(np.linspace(math.log(highest), math.log(lowest), count)))


@dataclass(frozen=True)
class Spacing:
    """Descending σ from the highest to the lowest, and the key of diffusers' configurations that switches it on."""

    key: str
    sigmas: Callable[[float, float, int], Doubles]


SPACINGS: Mapping[str, Spacing] = {
    "karras": Spacing("use_karras_sigmas", _karras),
    "exponential": Spacing("use_exponential_sigmas", _exponential),
}
"""By the name that a scheduler's row has them by; without one, the config says which, or none."""


def with_final(config: SchedulerConfig, sigmas: Doubles, training_sigmas: Array) -> Array:
    """The σ of every step and the one that the last step ends at, float32 [steps + 1]."""
    kind = config.choice("final_sigmas_type", "zero", ("zero", "sigma_min"))
    final = 0.0 if kind == "zero" else training_sigmas[0]
    return np.append(sigmas, final).astype(np.float32)

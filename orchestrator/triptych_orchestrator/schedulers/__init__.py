"""The schedulers by name: `make_solver("euler", config, 20)` is diffusers' `from_config(config)`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from triptych.errors import InvalidArgumentError, invalid
from triptych_orchestrator.schedulers.base import Solver
from triptych_orchestrator.schedulers.config import SchedulerConfig, config_invalid
from triptych_orchestrator.schedulers.ddim import DDIMSolver
from triptych_orchestrator.schedulers.dpmpp_2m import DPMSolverPP2M
from triptych_orchestrator.schedulers.euler import EulerSolver
from triptych_orchestrator.schedulers.euler_ancestral import EulerAncestralSolver
from triptych_orchestrator.schedulers.pndm import PNDMSolver

__all__ = [
    "SCHEDULERS",
    "SchedulerInfo",
    "Solver",
    "canonical_name",
    "make_solver",
    "resolved_name",
    "scheduler_names",
    "stable_diffusion_config",
]


@dataclass(frozen=True)
class SchedulerInfo:
    """One scheduler: its class in diffusers, its solver, and the config keys that its name fixes."""

    class_name: str
    solver: type[Solver]
    overrides: Mapping[str, object] = field(default_factory=dict)


SCHEDULERS: Mapping[str, SchedulerInfo] = {
    "ddim": SchedulerInfo("DDIMScheduler", DDIMSolver),
    "euler": SchedulerInfo("EulerDiscreteScheduler", EulerSolver),
    "euler_ancestral": SchedulerInfo("EulerAncestralDiscreteScheduler", EulerAncestralSolver),
    "dpmpp_2m": SchedulerInfo("DPMSolverMultistepScheduler", DPMSolverPP2M),
    "dpmpp_2m_karras": SchedulerInfo("DPMSolverMultistepScheduler", DPMSolverPP2M, {"use_karras_sigmas": True}),
    "pndm": SchedulerInfo("PNDMScheduler", PNDMSolver),
}

_BY_CLASS = {info.class_name: name for name, info in SCHEDULERS.items() if not info.overrides}


def scheduler_names() -> list[str]:
    """The names to offer, aliases left out."""
    return list(SCHEDULERS)


def canonical_name(name: str) -> str:
    """The name in `SCHEDULERS` of a name or of a diffusers class; "" stays "", the checkpoint's own."""
    if not name or name in SCHEDULERS:
        return name
    if name in _BY_CLASS:
        return _BY_CLASS[name]
    raise _unknown(f"{name!r} is not a scheduler")


def resolved_name(name: str, config: Mapping[str, object]) -> str:
    """The name in `SCHEDULERS` that a request gets with this checkpoint."""
    canonical = canonical_name(name)
    if canonical:
        return canonical
    own = config.get("_class_name")
    if not isinstance(own, str):
        raise config_invalid("_class_name", "missing")
    if own not in _BY_CLASS:
        raise _unknown(f"the checkpoint's own {own} is not supported")
    is_karras = _BY_CLASS[own] == "dpmpp_2m" and SchedulerConfig(config).flag("use_karras_sigmas", False)
    return "dpmpp_2m_karras" if is_karras else _BY_CLASS[own]


def make_solver(name: str, config: Mapping[str, object], num_inference_steps: int, *, eta: float = 0.0) -> Solver:
    """A fresh solver for one request; `eta` concerns DDIM alone, as in diffusers' pipelines."""
    if not (math.isfinite(eta) and 0.0 <= eta <= 1.0):
        raise invalid("eta", f"{eta} is not from 0 to 1")
    info = SCHEDULERS[resolved_name(name, config)]
    return info.solver(SchedulerConfig({**config, **info.overrides}), num_inference_steps, eta=eta)


def stable_diffusion_config(name: str, config: Mapping[str, object]) -> dict[str, object]:
    """The config as StableDiffusionPipeline corrects it on loading; the SDXL pipeline leaves it alone.

    The pipeline sets `steps_offset` to 1 and `clip_sample` to False, and `from_config` to another class
    carries a correction over only where the file had the key.
    """
    is_own = SCHEDULERS[resolved_name(name, config)].class_name == config.get("_class_name")
    corrected = dict(config)
    if is_own or config.get("steps_offset") is not None:
        corrected["steps_offset"] = 1
    if is_own or config.get("clip_sample") is True:
        corrected["clip_sample"] = False
    return corrected


def _unknown(problem: str) -> InvalidArgumentError:
    return invalid("scheduler", f"{problem}; there are {', '.join(SCHEDULERS)}")

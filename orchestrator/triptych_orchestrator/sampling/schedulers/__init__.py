"""The schedulers by name: `make_solver("euler", config, 20)` is diffusers' `from_config(config)`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from triptych.errors import CheckpointInvalidError, InvalidArgumentError, invalid
from triptych_orchestrator.sampling.schedulers.base import Solver
from triptych_orchestrator.sampling.schedulers.config import CONFIG_FILE, SchedulerConfig, stated, unsupported
from triptych_orchestrator.sampling.schedulers.ddim import DDIMSolver
from triptych_orchestrator.sampling.schedulers.dpmpp_2m import DPMSolverPP2M
from triptych_orchestrator.sampling.schedulers.euler import EulerSolver
from triptych_orchestrator.sampling.schedulers.euler_ancestral import EulerAncestralSolver
from triptych_orchestrator.sampling.schedulers.pndm import PNDMSolver
from triptych_orchestrator.sampling.schedulers.sigmas import SPACINGS

__all__ = [
    "METHODS",
    "SCHEDULERS",
    "SchedulerInfo",
    "Solver",
    "canonical_name",
    "corrected_config",
    "make_solver",
    "own_scheduler",
    "resolved_name",
    "scheduler_names",
    "usable_names",
]

_TYPICAL_STEPS = 20
_LONGEST_CLASS_NAME = 100


@dataclass(frozen=True)
class Method:
    """A solver, and its class in diffusers."""

    class_name: str
    solver: type[Solver]


METHODS: Mapping[str, Method] = {
    "ddim": Method("DDIMScheduler", DDIMSolver),
    "euler": Method("EulerDiscreteScheduler", EulerSolver),
    "euler_ancestral": Method("EulerAncestralDiscreteScheduler", EulerAncestralSolver),
    "dpmpp_2m": Method("DPMSolverMultistepScheduler", DPMSolverPP2M),
    "pndm": Method("PNDMScheduler", PNDMSolver),
}


@dataclass(frozen=True)
class SchedulerInfo:
    """What a name stands for: one of METHODS with one of SPACINGS, or with the one that the config has."""

    method: str
    spacing: str = ""

    @property
    def class_name(self) -> str:
        """The class in diffusers."""
        return METHODS[self.method].class_name

    @property
    def overrides(self) -> Mapping[str, object]:
        """The config's keys that the name fixes."""
        return {SPACINGS[self.spacing].key: True} if self.spacing else {}


SCHEDULERS: Mapping[str, SchedulerInfo] = {
    "ddim": SchedulerInfo("ddim"),
    "euler": SchedulerInfo("euler"),
    "euler_ancestral": SchedulerInfo("euler_ancestral"),
    "dpmpp_2m": SchedulerInfo("dpmpp_2m"),
    "dpmpp_2m_karras": SchedulerInfo("dpmpp_2m", "karras"),
    "pndm": SchedulerInfo("pndm"),
}

_BY_CLASS = {info.class_name: name for name, info in SCHEDULERS.items() if not info.spacing}


def scheduler_names() -> list[str]:
    """The names to offer, aliases left out."""
    return list(SCHEDULERS)


def usable_names(config: Mapping[str, object]) -> list[str]:
    """Those that can be had with this checkpoint's config, some number of steps given."""
    return [name for name in SCHEDULERS if _is_usable(name, config)]


def _is_usable(name: str, config: Mapping[str, object]) -> bool:
    try:
        _build(name, config, _TYPICAL_STEPS)
    except InvalidArgumentError as error:
        return error.metadata.get("field") == "num_inference_steps"
    return True


def own_scheduler(config: Mapping[str, object]) -> tuple[str, str]:
    """The name of the checkpoint's own scheduler and "", or "" and why every request must name another.

    CheckpointInvalidError where the config makes no sense, or no other can be had either.
    """
    try:
        make_solver("", config, _TYPICAL_STEPS)
    except InvalidArgumentError as error:
        field = error.metadata.get("field")
        if field == "scheduler" and usable_names(config):
            return "", error.message
        if field != "num_inference_steps":
            raise CheckpointInvalidError(error.message, file=CONFIG_FILE) from error
    return resolved_name("", config), ""


def canonical_name(name: str) -> str:
    """The name in `SCHEDULERS` of a name or of a diffusers class; "" stays "", the checkpoint's own."""
    if not name or name in SCHEDULERS:
        return name
    if name in _BY_CLASS:
        return _BY_CLASS[name]
    raise invalid("scheduler", f"{name!r} is not a scheduler; there are {', '.join(SCHEDULERS)}")


def resolved_name(name: str, config: Mapping[str, object]) -> str:
    """The name in `SCHEDULERS` that a request gets with this checkpoint."""
    canonical = canonical_name(name)
    if canonical:
        return canonical
    own = config.get("_class_name")
    if not isinstance(own, str) or not own.isidentifier() or len(own) > _LONGEST_CLASS_NAME:
        raise _with_offer(unsupported("_class_name", "names no class, so that requests must name a scheduler"), config)
    if own not in _BY_CLASS:
        raise _with_offer(invalid("scheduler", f"the checkpoint's own {own} is not supported"), config)
    return _with_spacing(_BY_CLASS[own], SchedulerConfig(config))


def _with_spacing(name: str, config: SchedulerConfig) -> str:
    """The row of the same method that is named for the spacing that the config switches on, where there is one."""
    for other, info in SCHEDULERS.items():
        if info.spacing and info.method == SCHEDULERS[name].method and config.flag(SPACINGS[info.spacing].key, False):
            return other
    return name


def make_solver(name: str, config: Mapping[str, object], num_inference_steps: int, *, eta: float = 0.0) -> Solver:
    """A fresh solver for one request; `eta` concerns DDIM alone, as in diffusers' pipelines."""
    if not (math.isfinite(eta) and 0.0 <= eta <= 1.0):
        raise invalid("eta", f"{eta} is not from 0 to 1")
    resolved = resolved_name(name, config)
    try:
        return _build(resolved, config, num_inference_steps, eta=eta)
    except CheckpointInvalidError as error:
        if error.metadata.get("field") != "scheduler":
            raise
        raise _with_offer(error, config) from error


def _build(name: str, config: Mapping[str, object], num_inference_steps: int, *, eta: float = 0.0) -> Solver:
    info = SCHEDULERS[name]
    return METHODS[info.method].solver(SchedulerConfig({**config, **info.overrides}), num_inference_steps, eta=eta)


def corrected_config(
    name: str, config: Mapping[str, object], correct: Callable[[Mapping[str, object], bool], dict[str, object]]
) -> dict[str, object]:
    """The checkpoint's config for a scheduler, as the family's pipeline corrects it.

    `correct` is given what the file states, and whether the scheduler's class is the file's own.
    """
    is_own = SCHEDULERS[resolved_name(name, config)].class_name == config.get("_class_name")
    return correct(stated(config), is_own)


def _with_offer(error: InvalidArgumentError, config: Mapping[str, object]) -> InvalidArgumentError:
    """The error, and which schedulers to ask for instead."""
    usable = ", ".join(usable_names(config)) or "none"
    return type(error)(f"{error.message}; this checkpoint can be asked for: {usable}", **error.metadata)

"""A pass's ControlNets, step by step: in which steps each counts, and what its residuals are multiplied by.

control_mode is that of A1111's extension (scripts/hook.py, soft_injection and cfg_injection); guess_mode is diffusers'.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triptych.checkpoint.families.controlnet import count_residuals
from triptych.contract import CONTROLNET
from triptych.contract.controls import ControlContent, ControlNet
from triptych.contract.paths import told_path
from triptych_orchestrator.jobs.job import Job
from triptych_orchestrator.jobs.tasks.controls import BALANCED, CONTROL
from triptych_orchestrator.library.entry import Entry
from triptych_orchestrator.pipeline.plan import Pass, PassControl
from triptych_orchestrator.sampling.schedulers import Solver
from triptych_orchestrator.stages.controls import Control, Controls, Scaled

Array = npt.NDArray[np.float32]

# From the middle outwards each residual counts that much less where the prompt is to count more.
_SOFTENING = 0.825
_SOFTENED_RESIDUALS = 13


@dataclass(frozen=True)
class Net:
    """A ControlNet as it is registered: how many residuals it has, and whether it pools them."""

    told: ControlNet
    residuals: int
    pools: bool


def net_of(entry: Entry) -> Net:
    """Of one in use."""
    architecture = entry.opened.components[CONTROLNET].architecture
    fingerprint = entry.fingerprint.text() if entry.fingerprint else ""
    told = ControlNet(told_path("path", entry.path), entry.variant, fingerprint)
    return Net(told, count_residuals(architecture), bool(architecture.config["global_pool_conditions"]))


@dataclass(frozen=True)
class _Windowed:
    """A control that counts in the `steps`, for the negative prompt's half of guidance as well or not."""

    scaled: Scaled
    steps: frozenset[int]
    counts_for_negative: bool


@dataclass(frozen=True)
class Controlling:
    """Of a pass whose loop counts the solver's evaluations; one outside its window costs nothing."""

    windowed: Sequence[_Windowed] = ()

    def at(self, index: int, *, is_negative: bool) -> Controls:
        """One half's in one step."""
        return tuple(
            each.scaled
            for each in self.windowed
            if index in each.steps and (each.counts_for_negative or not is_negative)
        )


def controlling(job: Job, one: Pass, nets: Mapping[str, Net], solver: Solver) -> Controlling:
    """As diffusers' pipelines do it, of which the first ControlNet decides whether all guess."""
    guesses = job.guess_mode or bool(one.controls and nets[one.controls[0].name].pools)
    return Controlling([_windowed(job, one, each, nets[each.name], solver, guesses) for each in one.controls])


def _windowed(job: Job, one: Pass, control: PassControl, net: Net, solver: Solver, guesses: bool) -> _Windowed:
    content = ControlContent(net.told, one.width, one.height, job.tiling)
    scales = np.float32(control.conditioning_scale) * _profile(control, net, guesses)
    counts_for_negative = not guesses and control.control_mode != CONTROL
    steps = frozenset(_window(one, control, solver))
    return _Windowed(Scaled(Control(content, control.image), scales), steps, counts_for_negative)


def _profile(control: PassControl, net: Net, guesses: bool) -> Array:
    """By residual: alike, or less the further from the middle."""
    if guesses and not net.pools:
        return np.logspace(-1, 0, net.residuals, dtype=np.float32)
    if control.control_mode != BALANCED:
        # The extension gives a UNet with fewer residuals the first of them.
        exponents = np.arange(_SOFTENED_RESIDUALS - 1, -1, -1)[: net.residuals]
        return np.float32(_SOFTENING) ** exponents.astype(np.float32)
    return np.ones(net.residuals, np.float32)


def _window(one: Pass, control: PassControl, solver: Solver) -> Iterable[int]:
    """The evaluations that lie in it whole, shares being of those that the pass does, were no refiner to follow."""
    evaluations = solver.evaluations(one.strength)
    for place, index in enumerate(evaluations):
        before, after = place / len(evaluations), (place + 1) / len(evaluations)
        if before >= control.guidance_start and after <= control.guidance_end:
            yield index

"""A pass's ControlNets, step by step: in which steps each counts, and what its residuals are multiplied by.

control_mode is that of A1111's extension (scripts/hook.py, soft_injection and cfg_injection); guess_mode is diffusers'.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triptych.checkpoint.families.controlnet import count_residuals
from triptych.checkpoint.families.t2i_adapter import features
from triptych.contract import CONTROLNET, T2I_ADAPTER
from triptych.contract.controls import ControlContent, ControlNet, Look
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
# A T2I-Adapter's first features, the largest; the others count whole.
_SOFTENED_FEATURES = (0.25, 0.62, 0.825)


@dataclass(frozen=True)
class Net:
    """A ControlNet as it is registered: how many residuals it has, and whether it pools them.

    A T2I-Adapter's features are its residuals, as far as their number goes.
    """

    told: ControlNet
    residuals: int
    pools: bool = False
    is_adapter: bool = False


def net_of(entry: Entry) -> Net:
    """Of one in use."""
    parts = entry.opened.components
    fingerprint = entry.fingerprint.text() if entry.fingerprint else ""
    told = ControlNet(told_path("path", entry.path), entry.variant, fingerprint)
    if T2I_ADAPTER in parts:
        return Net(told, len(features(parts[T2I_ADAPTER].architecture)), is_adapter=True)
    architecture = parts[CONTROLNET].architecture
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


def controlling(job: Job, one: Pass, nets: Mapping[str, Net], solver: Solver, residuals: int) -> Controlling:
    """As diffusers' pipelines do it, of which the first ControlNet decides whether all guess.

    `residuals` are how many the UNet takes, which is what scales are told for, whoever has fewer.
    """
    guesses = job.guess_mode or bool(one.controls and nets[one.controls[0].name].pools)
    windowed: list[_Windowed] = []
    for group in _together(one.controls):
        net = nets[group[0].name]
        guessing = guesses and not net.is_adapter
        profile = np.zeros(residuals, np.float32)
        profile[: net.residuals] = _profile(group[0], net, guessing)
        counts_for_negative = not guessing and group[0].control_mode != CONTROL
        windowed += (
            _Windowed(scaled, steps, counts_for_negative)
            for scaled, steps in _shared(job, one, group, net.told, solver, profile)
        )
    return Controlling(windowed)


def _together(controls: Iterable[PassControl]) -> list[list[PassControl]]:
    """Each by itself, but those of one union ControlNet, which looks at all of them at once."""
    groups: dict[tuple[object, ...], list[PassControl]] = {}
    for place, each in enumerate(controls):
        key = (place,) if each.union_type is None else (each.name, each.control_mode)
        groups.setdefault(key, []).append(each)
    return list(groups.values())


def _shared(
    job: Job, one: Pass, group: Sequence[PassControl], told: ControlNet, solver: Solver, profile: Array
) -> Iterator[tuple[Scaled, frozenset[int]]]:
    """A group in every part of the steps in which other shares of it count; nothing where none does."""
    windows = [frozenset(_window(one, each, solver)) for each in group]
    steps: dict[tuple[float, ...], list[int]] = {}
    for index in solver.evaluations(one.strength):
        pairs = zip(group, windows, strict=True)
        shares = tuple(each.conditioning_scale if index in window else 0.0 for each, window in pairs)
        steps.setdefault(shares, []).append(index)
    image = b"".join(each.image for each in group)
    for shares, indices in steps.items():
        if any(shares):
            # As diffusers has it: of several types each counts by itself, of one alone what it adds does.
            inside, outside = (shares, 1.0) if len(group) > 1 else ((1.0,), shares[0])
            types = (each.union_type for each in group)
            looks = tuple(Look(kind, share) for kind, share in zip(types, inside, strict=True) if kind is not None)
            content = ControlContent(told, one.width, one.height, job.tiling, looks, group[0].has_mask)
            yield Scaled(Control(content, image), np.float32(outside) * profile), frozenset(indices)


def _profile(control: PassControl, net: Net, guesses: bool) -> Array:
    """By residual: alike, or less the further from the middle."""
    if guesses and not net.pools:
        return np.logspace(-1, 0, net.residuals, dtype=np.float32)
    if control.control_mode != BALANCED and net.is_adapter:
        whole = [1.0] * net.residuals
        return np.array([*_SOFTENED_FEATURES, *whole][: net.residuals], np.float32)
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

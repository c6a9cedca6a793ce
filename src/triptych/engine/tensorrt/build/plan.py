"""How an engine's weights can be exchanged, which decides how many engines there are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum

from triptych.errors import FailedPreconditionError

OVERRIDE = "TRIPTYCH_TENSORRT_PLAN"
# The one engine for all checkpoints may cost this much more per step: it saves a build of minutes per checkpoint.
_BEARABLE = 1.05


class RefitPlan(StrEnum):
    """Which weights stay open, and so what the engine in the cache belongs to."""

    PER_CHECKPOINT = "checkpoint"
    """Only what a LoRA can change is open, all else may be folded and fused. The default, for engines whose weights are
    all open were reported 1.7 to 2 times slower (by users of NVIDIA/TensorRT)."""

    PER_ARCHITECTURE = "architecture"
    """Every weight of the checkpoint is open, and one engine takes any checkpoint. Not stripped of its weights
    (STRIP_PLAN): such engines were seen to give zeros after a refit (by users of pytorch/TensorRT)."""


def choose_plan(step_seconds: Mapping[RefitPlan, float], override: str | None = None) -> RefitPlan:
    """The plan, from the seconds that a step took with each that was built on this machine so far.

    TRIPTYCH_TENSORRT_PLAN names one outright, which is how the other one gets built and measured.
    """
    named = override if override is not None else os.environ.get(OVERRIDE, "")
    if named:
        if named not in list(RefitPlan):
            raise FailedPreconditionError(f"{OVERRIDE} is {named!r}: name {' or '.join(RefitPlan)}, or leave it out")
        return RefitPlan(named)
    alone, shared = (step_seconds.get(plan) for plan in (RefitPlan.PER_CHECKPOINT, RefitPlan.PER_ARCHITECTURE))
    if alone is not None and shared is not None and shared <= alone * _BEARABLE:
        return RefitPlan.PER_ARCHITECTURE
    return RefitPlan.PER_CHECKPOINT

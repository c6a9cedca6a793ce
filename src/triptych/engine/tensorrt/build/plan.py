"""How an engine's weights can be exchanged, which decides how many engines there are."""

from __future__ import annotations

import os
from collections.abc import Mapping
from enum import StrEnum

from triptych.errors import FailedPreconditionError

OVERRIDE = "TRIPTYCH_TENSORRT_PLAN"
# An engine that does for more may cost this much more per step: it saves builds of minutes.
_BEARABLE = 1.05


class RefitPlan(StrEnum):
    """Which weights stay open, and so what the engine in the cache belongs to; all else may be folded and fused."""

    PLAIN = "plain"
    """None. Beside another one it runs what needs no LoRA; the first one only where the operator says so."""

    USUAL = "usual"
    """Those that LoRA files usually change. A UNet's first engine, for engines whose weights are all open were
    reported 1.7 to 2 times slower (by users of NVIDIA/TensorRT)."""

    PER_CHECKPOINT = "checkpoint"
    """Whatever a LoRA can change. It takes over from a UNet's first engine once a LoRA needs it."""

    PER_ARCHITECTURE = "architecture"
    """Every weight of the checkpoint, and one engine takes any checkpoint. Not stripped of its weights (STRIP_PLAN):
    such engines were seen to give zeros after a refit (by users of pytorch/TensorRT)."""


def choose_plan(first: RefitPlan, step_seconds: Mapping[RefitPlan, float], override: str | None = None) -> RefitPlan:
    """`first`, or the plan that does for more, where the step that was measured with it on this machine bears that.

    TRIPTYCH_TENSORRT_PLAN names one outright, which is how another one gets built and measured.
    """
    wider = (RefitPlan.PER_ARCHITECTURE, RefitPlan.PER_CHECKPOINT)
    named = override if override is not None else os.environ.get(OVERRIDE, "")
    if named:
        if named not in list(RefitPlan):
            raise FailedPreconditionError(f"{OVERRIDE} is {named!r}: name {' or '.join(RefitPlan)}, or leave it out")
        return RefitPlan(named)
    measured = step_seconds.get(first)
    if measured is None:
        return first
    able = (plan for plan in wider if plan in step_seconds and step_seconds[plan] <= measured * _BEARABLE)
    return next(able, first)

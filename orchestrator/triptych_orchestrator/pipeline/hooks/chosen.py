"""The hooks that an operator's settings switch on, in the order in which they work."""

from __future__ import annotations

from triptych_orchestrator.pipeline.hooks.base import Hook, Hooks
from triptych_orchestrator.pipeline.hooks.safety import SafetyCheck
from triptych_orchestrator.pipeline.hooks.watermark import Watermark
from triptych_orchestrator.settings import Settings
from triptych_orchestrator.stages.pool import ReplicaPool


def hooks_of(settings: Settings, pool: ReplicaPool) -> Hooks:
    """What is black already is not marked, so that the checker comes first."""
    hooks: list[Hook] = []
    if settings.safety_checker == "checkpoint":
        hooks.append(SafetyCheck(pool, settings.call_timeout_s))
    if settings.watermark:
        hooks.append(Watermark(settings.watermark))
    return Hooks(hooks, settings.watermark)

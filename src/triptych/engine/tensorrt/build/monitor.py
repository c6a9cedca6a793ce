"""Tells how far a build is, for it takes minutes: a line now and then with the phases that TensorRT is in."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Any

from triptych.engine.cache.artifacts import Progress
from triptych.engine.tensorrt.api import tensorrt

_EVERY_S = 10.0
# Phases stand in each other; those further in come and go within a second.
_PHASES_TOLD = 2


def build_monitor(
    progress: Progress, clock: Callable[[], float] = monotonic, stopped: Callable[[], bool] = lambda: False
) -> Any:
    """For a build's configuration, which does not keep it alive; the build ends early once `stopped`."""
    trt = tensorrt()

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)
            self._phases: dict[str, list[int]] = {}  # steps done, steps in all; the outermost first
            self._told_at_s = clock()

        def phase_start(self, phase_name: str, parent_phase: str, num_steps: int) -> None:
            self._phases[phase_name] = [0, num_steps]

        def phase_finish(self, phase_name: str) -> None:
            self._phases.pop(phase_name, None)

        def step_complete(self, phase_name: str, step: int) -> bool:
            """False ends the build."""
            if phase_name in self._phases:
                self._phases[phase_name][0] = step + 1
            if clock() - self._told_at_s >= _EVERY_S:
                self._told_at_s = clock()
                phases = list(self._phases.items())[:_PHASES_TOLD]
                progress(", ".join(f"{name.lower()}: {done} of {steps}" for name, (done, steps) in phases))
            return not stopped()

    return Monitor()

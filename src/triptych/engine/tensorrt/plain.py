"""Whether requests without a LoRA run on an engine of their own: by what a step was measured to take on either.

TRIPTYCH_TENSORRT_PLAIN=always has it used whatever it takes, =never has none made; `auto` measures.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from statistics import median
from time import perf_counter, sleep

from triptych.cache_folders import open_like
from triptych.engine.port import Array
from triptych.engine.tensorrt.build.plan import RefitPlan
from triptych.engine.tensorrt.run.session import Session
from triptych.engine.tensorrt.run.shape import CAPTURE_AFTER_RUNS
from triptych.errors import FailedPreconditionError

OVERRIDE = "TRIPTYCH_TENSORRT_PLAIN"
# A second engine holds the GPU's memory twice, and its build takes minutes: that must buy something.
_WORTH_IT = 0.95
_TIMED_RUNS = 20
# Lets a request that waits for the engine in between two steps that are measured.
_BREATH_S = 0.001


class Setting(StrEnum):
    """What the operator says."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


def plain_setting() -> Setting:
    """From TRIPTYCH_TENSORRT_PLAIN; FailedPreconditionError where it is none of the three."""
    named = os.environ.get(OVERRIDE) or Setting.AUTO
    if named not in list(Setting):
        raise FailedPreconditionError(f"{OVERRIDE} is {named!r}: name {', '.join(Setting)}, or leave it out")
    return Setting(named)


@dataclass(frozen=True)
class Comparison:
    """What a step took on either engine, in turns."""

    plain_s: float
    refittable_s: float

    @property
    def plain_is_quicker(self) -> bool:
        """By enough to be worth a second engine."""
        return self.plain_s <= _WORTH_IT * self.refittable_s


def compare(
    plain: Session, refittable: Session, inputs: Mapping[str, Array], quiet: AbstractContextManager[object]
) -> Comparison:
    """Runs both in turns, so that whatever else the GPU does meets both alike; `quiet` is held for single steps."""
    seconds: tuple[list[float], list[float]] = [], []
    for _ in range(CAPTURE_AFTER_RUNS + 1 + _TIMED_RUNS):
        for session, taken in zip((plain, refittable), seconds, strict=True):
            with quiet:
                start = perf_counter()
                session.run(inputs)
                taken.append(perf_counter() - start)
        sleep(_BREATH_S)
    return Comparison(*(median(taken[-_TIMED_RUNS:]) for taken in seconds))


def warm_up(session: Session, inputs: Mapping[str, Array], quiet: AbstractContextManager[object]) -> None:
    """Until a request of that size finds all made, its CUDA graph too."""
    for _ in range(CAPTURE_AFTER_RUNS + 1):
        with quiet:
            session.run(inputs)
        sleep(_BREATH_S)


def read_comparison(root: Path, subject: str, plan: RefitPlan) -> Comparison | None:
    """What was noted on such a machine of the plain engine and one of that plan; None where nothing was, or odd."""
    try:
        noted = json.loads(_file(root, subject, plan).read_text())
        return Comparison(float(noted["plain_s"]), float(noted["refittable_s"]))
    except (OSError, KeyError, TypeError, ValueError):
        return None


def note_comparison(root: Path, subject: str, plan: RefitPlan, comparison: Comparison) -> None:
    """For the next start; a cache that is read-only keeps nothing, and it is measured again then."""
    path = _file(root, subject, plan)
    partial = path.with_suffix(f".{os.getpid()}.partial")
    with suppress(OSError):
        partial.write_text(json.dumps(asdict(comparison)))
        open_like(root, partial)
        partial.replace(path)


def _file(root: Path, subject: str, plan: RefitPlan) -> Path:
    return root / f"{subject}-plain-beside-{plan.value}.json"

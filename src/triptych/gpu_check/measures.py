"""What is measured of a side that runs; figures are seconds and bytes, by name."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count
from statistics import mean, median
from typing import Any

from triptych.gpu_check.budget import Budget, Estimates
from triptych.gpu_check.memory import Used
from triptych.gpu_check.plan import Row
from triptych.gpu_check.running import CHECKPOINT, Made, Picture, Running, Served
from triptych.measuring.memory import PeakMemory

LORAS = ("one", "two")
CONTROL = "control"
_AT_ONCE = 8
_AT_ONCE_ROUNDS = 2
_SHORT_STEPS = 4  # of pictures in which something else is looked at
_WARM_UP_STEPS = 8  # a CUDA graph is captured after a few runs
_STEADY = 4  # pictures in a row, their steps no further apart than
_ALIKE = 1.03
_OTHER = "bench-again"
_FOLLOWING = 2
_NUMBERS = count()

Figures = Mapping[str, float]


@dataclass(frozen=True)
class Measuring:
    """What every measure needs; `idle_bytes` were used before the side was started."""

    row: Row
    running: Running
    budget: Budget
    steps: int
    rounds: int
    used: Used
    used_every_s: float
    idle_bytes: int

    def make(
        self,
        steps: int,
        *,
        loras: tuple[tuple[str, float], ...] = (),
        checkpoint: str = CHECKPOINT,
        is_controlled: bool = False,
    ) -> tuple[float, Made]:
        """The seconds that one picture took, and what was told of it."""
        prompt = f"a red circle, number {next(_NUMBERS)}"
        picture = Picture(prompt, self.row.edge, min(steps, self.steps), checkpoint, loras, is_controlled)
        began = time.perf_counter()
        made = self.running.make(picture, max(self.budget.left_s(), 1.0))
        return time.perf_counter() - began, made


def estimate_s(row: Row, estimates: Estimates, steps: int, rounds: int) -> float:
    """About how long a row takes, from pictures that were made before."""
    whole = estimates.picture_s(row.model, row.side.name, row.edge)
    short, warm_up = (whole * min(1.0, few / steps) for few in (_SHORT_STEPS, _WARM_UP_STEPS))
    return {
        "picture": row.side.new_size_s + warm_up + rounds * whole,
        "lora": warm_up + rounds * whole,
        CONTROL: 2 * (warm_up + rounds * whole),
        "eight": _AT_ONCE * (warm_up + 2 * _AT_ONCE_ROUNDS * whole),
        "swap": (5 * rounds + 3) * short,
        "switch": rounds * ((1 + _FOLLOWING) * short + estimates.start_s(row.model, row.side.name, 30.0) / 2),
    }[row.kind]


def picture(measuring: Measuring) -> Figures:
    """Whole requests, and the most memory that they took."""
    return _pictures(measuring)


def with_lora(measuring: Measuring) -> Figures:
    """The same with a LoRA in the weights, which has come there before."""
    return _pictures(measuring, loras=((LORAS[0], 1.0),))


def with_control(measuring: Measuring) -> Figures:
    """The same under a ControlNet, which has come there before."""
    return _pictures(measuring, is_controlled=True)


def _pictures(measuring: Measuring, **asked: Any) -> Figures:
    with PeakMemory(lambda: {"all": measuring.used()}, measuring.used_every_s) as peak:
        first_s = _warm_up(measuring, **asked)
        taken = [measuring.make(measuring.steps, **asked) for _ in range(measuring.rounds)]
    seconds = [each for each, _ in taken]
    engine_step = median(made.engine_step_seconds for _, made in taken)
    return {
        "seconds": median(seconds),
        "least": min(seconds),
        "greatest": max(seconds),
        "warm_up_seconds": first_s,
        "peak_bytes": peak.bytes - measuring.idle_bytes,
    } | ({"engine_step_seconds": engine_step} if engine_step else {})


def _warm_up(measuring: Measuring, **asked: Any) -> float:
    """Seconds of the first picture, or on a side that speeds up of all until their steps take as long as each other."""
    began, side = time.perf_counter(), measuring.row.side
    measuring.make(_WARM_UP_STEPS, **asked)
    steps = [0.0, *[1.0] * (_STEADY - 1)]
    while side.speeds_up and max(steps) > _ALIKE * min(steps) and time.perf_counter() - began < side.new_size_s:
        steps = [*steps[1:], measuring.make(_WARM_UP_STEPS, **asked)[1].engine_step_seconds]
    return time.perf_counter() - began


def eight_at_once(measuring: Measuring) -> Figures:
    """Eight requests at once and in a row, taking turns; steps that came together share a batch."""
    samples: list[int] = []

    def all_of(at_once: int, steps: int) -> float:
        def one(_number: int) -> None:
            _, made = measuring.make(steps)
            if at_once > 1:
                samples.extend(made.step_samples)

        began = time.perf_counter()
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(one, range(_AT_ONCE)))
        return time.perf_counter() - began

    all_of(_AT_ONCE, _WARM_UP_STEPS)
    samples.clear()
    turns = [(all_of(_AT_ONCE, measuring.steps), all_of(1, measuring.steps)) for _ in range(_AT_ONCE_ROUNDS)]
    at_once, in_a_row = (median(side) for side in zip(*turns, strict=True))
    return {"at_once_seconds": at_once, "in_a_row_seconds": in_a_row, "batch_samples": mean(samples)}


def lora_swap(measuring: Measuring) -> Figures:
    """What a short request takes longer when its LoRA set is another than the last one's: new, kept, none."""

    def short(*loras: tuple[str, float]) -> tuple[float, Made]:
        return measuring.make(_SHORT_STEPS, loras=loras)

    first, second = ((name, 1.0) for name in LORAS)
    for loras in ((), (first,), (second,)):
        short(*loras)
    taken: dict[str, list[tuple[float, Made]]] = {"same": [], "new": [], "kept": [], "base": []}
    for number in range(measuring.rounds):
        taken["same"].append(short(second))
        taken["kept"].append(short(first))
        # At a weight that was never asked for, so that it has to be merged.
        taken["new"].append(short((LORAS[0], 0.5 + 0.001 * (number + 1))))
        taken["base"].append(short())
        short(second)
    same = median(seconds for seconds, _ in taken["same"])
    figures = {f"{name}_more_seconds": median(s for s, _ in taken[name]) - same for name in ("new", "kept", "base")}
    return figures | {f"{name}_refit_seconds": median(m.refit_seconds for _, m in taken[name]) for name in taken}


def switch(measuring: Measuring) -> Figures:
    """Unloading one checkpoint and loading another, the first picture then, and those that follow it."""
    served = measuring.running
    if not isinstance(served, Served):
        raise TypeError("only Triptych's servers switch")
    served.client.register_checkpoint(_OTHER, served.checkpoint)
    loading, firsts, following = [], [], []

    def bring(wanted: str, other: str) -> float:
        began = time.perf_counter()
        served.client.unload_checkpoint(other, timeout_s=max(measuring.budget.left_s(), 1.0))
        served.client.load_checkpoint(wanted, timeout_s=max(measuring.budget.left_s(), 1.0))
        return time.perf_counter() - began

    for number in range(measuring.rounds):
        names = (CHECKPOINT, _OTHER)
        wanted, other = names if number % 2 else reversed(names)
        loading.append(bring(wanted, other))
        firsts.append(measuring.make(_SHORT_STEPS, checkpoint=wanted)[0])
        following += [measuring.make(_SHORT_STEPS, checkpoint=wanted)[0] for _ in range(_FOLLOWING)]
    bring(CHECKPOINT, _OTHER)
    served.client.unregister_checkpoint(_OTHER)
    return {
        "loading_seconds": median(loading),
        "first_seconds": median(firsts),
        "following_seconds": median(following),
    }


MEASURES: Mapping[str, Callable[[Measuring], Figures]] = {
    "picture": picture,
    "lora": with_lora,
    CONTROL: with_control,
    "eight": eight_at_once,
    "swap": lora_swap,
    "switch": switch,
}

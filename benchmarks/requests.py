"""Requests that are drawn under something beside plain ones, by Triptych and by diffusers eager, all in turns.

measured = measure(setting, local, client, {"text-to-image": Task(diffusers, plain, plain), "controlled": ...})
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.processes import clock_of, processor_seconds
from benchmarks.report import print_judgement, print_seconds
from benchmarks.setting import Setting
from benchmarks.turns import Side, counting_work, ratio_by_round, take_turns, timed
from triptych.embedded import LocalStack
from triptych.measuring.worker import Worker
from triptych.sdk import Client, Step

PLAIN = "text-to-image"
# Above what text-to-image takes of diffusers' time in the same run.
TARGET_MORE = 0.02
# More parameters, of the round.
Asked = Callable[[int], Mapping[str, Any]]
Figures = dict[str, list[float]]


def nothing(index: int) -> Mapping[str, Any]:
    """What a plain request is asked for beside prompt and size."""
    return {}


@dataclass(frozen=True)
class Task:
    """What both sides are asked for under a task's name, diffusers' by its worker."""

    diffusers: Worker
    ours: Asked = nothing
    theirs: Asked = nothing


@dataclass(frozen=True)
class Measured:
    """By "triptych, TASK" and "diffusers, TASK"; `worked` is of all cores, `steps` by task each request's median."""

    seconds: Figures
    worked: Figures
    steps: Figures

    def print(self, setting: Setting) -> None:
        """The tables."""
        print(f"{setting.describe()}, {setting.steps} steps, guidance 7.5")
        print_seconds(self.seconds)
        print("processor seconds of all processes")
        print_seconds(self.worked)
        print("a step, the median of each request")
        print_seconds(self.steps)

    def step_ratio(self, task: str) -> float:
        """Of its steps to those without."""
        return ratio_by_round(self.steps[task], self.steps[PLAIN])

    def judged(self) -> bool:
        """Whether every task takes little more of diffusers' time, and of its work, than text-to-image."""
        return all([_judged(self.seconds, "seconds"), _judged(self.worked, "processor seconds")])


def _judged(figures: Figures, what: str) -> bool:
    tasks = [name.partition(", ")[2] for name in figures if name.startswith("triptych")]
    ratios = {task: ratio_by_round(figures[f"triptych, {task}"], figures[f"diffusers, {task}"]) for task in tasks}
    text = ratios.pop(PLAIN)
    print(f"{PLAIN}, {what}: {text:.2f} of diffusers'")
    met = [
        print_judgement(f"{task}, {what} of diffusers'", ratio, text + TARGET_MORE) for task, ratio in ratios.items()
    ]
    return all(met)


def measure(setting: Setting, local: LocalStack, client: Client, tasks: Mapping[str, Task]) -> Measured:
    """Each task once by either side, which loads what it needs, and then all in turns."""
    measured = Measured({}, {}, {task: [] for task in tasks})
    sides: dict[str, Side] = {}

    def add(name: str, side: Side, clock: Callable[[], float]) -> None:
        side(-1)
        sides[name] = counting_work(side, measured.worked.setdefault(name, []), clock)

    for task, asked in tasks.items():
        ours = functools.partial(_ours, client, setting, asked.ours, measured.steps[task])
        add(f"triptych, {task}", ours, clock_of(local.stack))
        theirs = functools.partial(_theirs, setting, task, asked)
        pids = {"diffusers": [asked.diffusers.pid]}
        add(f"diffusers, {task}", theirs, functools.partial(processor_seconds, pids))
    for values in measured.steps.values():
        values.clear()
    measured.seconds.update(take_turns(sides, setting.rounds))
    return measured


def _ours(client: Client, setting: Setting, asked: Asked, steps: list[float], index: int) -> float:
    taken: list[float] = []
    more = asked(index)

    def request() -> None:
        for event in client.stream(_prompt(index), **more, **setting.parameters()):
            if isinstance(event, Step):
                taken.append(event.step_seconds)

    seconds = timed(request)
    steps.append(median(taken))
    return seconds


def _theirs(setting: Setting, task: str, asked: Task, index: int) -> float:
    return asked.diffusers.ask({"task": task, "prompt": _prompt(index), **setting.parameters(), **asked.theirs(index)})


def _prompt(index: int) -> str:
    """A new one each round, for Triptych remembers what it has encoded."""
    return f"a red circle, number {index}"

"""A request under one ControlNet and a step of it, against one without: Triptych and diffusers eager, in turns."""

from __future__ import annotations

import functools
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.controlnets import register
from benchmarks.processes import clock_of, processor_seconds
from benchmarks.report import print_judgement, print_seconds
from benchmarks.setting import Setting
from benchmarks.turns import Side, counting_work, ratio_by_round, take_turns, timed
from triptych.measuring.controlnets import edges
from triptych.measuring.machine import cores
from triptych.measuring.tasks_worker import tasks_worker
from triptych.measuring.worker import Worker
from triptych.sdk import Client, Control, Step

TARGET_STEP_RATIO = 1.40
# Above what text-to-image takes of diffusers' time in the same run.
TARGET_MORE = 0.02
_TASKS = ("text-to-image", "controlled")
_Figures = dict[str, list[float]]


def run(setting: Setting) -> bool:
    """Prints the tables; whether both targets are met."""
    checkpoint, controlnet = setting.checkpoint(), setting.controlnet()
    worked: _Figures = {}
    steps: _Figures = {task: [] for task in _TASKS}
    local = setting.stack(checkpoint)
    with (
        tempfile.TemporaryDirectory() as folder,
        local as client,
        tasks_worker(checkpoint, threads=cores(), controlnet=controlnet) as diffusers,
    ):
        picture = Path(folder, "edges.png")
        edges(setting.size).save(picture)
        controls = {"text-to-image": [], "controlled": [Control(register(client, controlnet), picture)]}
        diffusers.wait_ready()
        sides: dict[str, Side] = {}

        def add(name: str, side: Side, clock: Callable[[], float]) -> None:
            side(-1)  # loads what it needs
            sides[name] = counting_work(side, worked.setdefault(name, []), clock)

        for task in _TASKS:
            ours = functools.partial(_ours, client, setting, controls[task], steps[task])
            add(f"triptych, {task}", ours, clock_of(local.stack))
            theirs = functools.partial(_theirs, diffusers, setting, task, picture)
            add(f"diffusers, {task}", theirs, lambda: processor_seconds({"diffusers": [diffusers.pid]}))
        for values in steps.values():
            values.clear()
        seconds = take_turns(sides, setting.rounds)
    print(f"{setting.describe()}, {setting.steps} steps, guidance 7.5")
    print_seconds(seconds)
    print("processor seconds of all processes")
    print_seconds(worked)
    print("a step, the median of each request")
    print_seconds(steps)
    return all([_judged_step(steps), _judged(seconds, "seconds"), _judged(worked, "processor seconds")])


def _judged_step(steps: Mapping[str, list[float]]) -> bool:
    ratio = ratio_by_round(steps["controlled"], steps["text-to-image"])
    return print_judgement("a step with one ControlNet / without", ratio, TARGET_STEP_RATIO)


def _judged(figures: Mapping[str, list[float]], what: str) -> bool:
    text, controlled = (ratio_by_round(figures[f"triptych, {task}"], figures[f"diffusers, {task}"]) for task in _TASKS)
    print(f"text-to-image, {what}: {text:.2f} of diffusers'")
    return print_judgement(f"controlled, {what} of diffusers'", controlled, text + TARGET_MORE)


def _ours(client: Client, setting: Setting, controls: list[Control], steps: list[float], index: int) -> float:
    taken: list[float] = []

    def request() -> None:
        for event in client.stream(_prompt(index), controls=controls, **setting.parameters()):
            if isinstance(event, Step):
                taken.append(event.step_seconds)

    seconds = timed(request)
    steps.append(median(taken))
    return seconds


def _theirs(diffusers: Worker, setting: Setting, task: str, picture: Path, index: int) -> float:
    asked: dict[str, Any] = {"task": task, "prompt": _prompt(index), **setting.parameters()}
    return diffusers.ask(asked | ({"image": str(picture)} if task == "controlled" else {}))


def _prompt(index: int) -> str:
    """A new one each round, for Triptych remembers what it has encoded."""
    return f"a red circle, number {index}"

"""A request under one ControlNet and a step of it, against one without: Triptych and diffusers eager, in turns."""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.controlnets import register
from benchmarks.report import print_judgement
from benchmarks.requests import PLAIN, Task, measure
from benchmarks.setting import Setting
from triptych.measuring.controlnets import edges
from triptych.measuring.machine import cores
from triptych.measuring.tasks_worker import tasks_worker
from triptych.sdk import Control

TARGET_STEP_RATIO = 1.40
_CONTROLLED = "controlled"


def run(setting: Setting) -> bool:
    """Prints the tables; whether both targets are met."""
    checkpoint, controlnet = setting.checkpoint(), setting.controlnet()
    local = setting.stack(checkpoint)
    with (
        tempfile.TemporaryDirectory() as folder,
        local as client,
        tasks_worker(checkpoint, threads=cores(), controlnet=controlnet) as diffusers,
    ):
        picture = Path(folder, "edges.png")
        edges(setting.size).save(picture)
        controls = [Control(register(client, controlnet), picture)]
        diffusers.wait_ready()
        controlled = Task(diffusers, lambda index: {"controls": controls}, lambda index: {"image": str(picture)})
        measured = measure(setting, local, client, {PLAIN: Task(diffusers), _CONTROLLED: controlled})
    measured.print(setting)
    ratio = measured.step_ratio(_CONTROLLED)
    met = print_judgement("a step with one ControlNet / without", ratio, TARGET_STEP_RATIO)
    return measured.judged() and met

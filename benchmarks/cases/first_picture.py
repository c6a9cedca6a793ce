"""A single file's registration and its first picture, against the pictures that follow.

Each round registers the file by another link to it, so that its hash too is computed anew; its architecture's graph is
known, and the file is in the system's cache. Beside seconds by the clock, those that all processes' cores worked: on a
busy machine they alone say something, and the first picture's hash, computed beside it, is among them.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median

from benchmarks.processes import processes_of, processor_seconds
from benchmarks.report import print_judgement, print_seconds
from benchmarks.setting import Setting
from benchmarks.single_files import ensure_single_file
from benchmarks.turns import timed
from triptych.embedded import LocalStack
from triptych.sdk import Client

TARGET_S = 1.5
_FOLLOWING = 3


def run(setting: Setting) -> bool:
    """Prints the tables; whether the target is met."""
    file = ensure_single_file(setting.checkpoint(), setting.models, ".safetensors")
    wall: dict[str, list[float]] = {"registration and first picture": [], "pictures that follow": []}
    worked: dict[str, list[float]] = {name: [] for name in wall}
    local = setting.stack(file)
    with local as client, tempfile.TemporaryDirectory(dir=setting.folder, prefix="first-picture-") as scratch:
        _picture(client, setting, "bench", "warm-up")
        for index in range(setting.rounds):
            link = Path(scratch, f"{index}.safetensors")
            os.link(file, link)
            for number in range(1 + _FOLLOWING):
                work = _first if not number else _picture_of
                name = list(wall)[min(number, 1)]
                seconds, cores = _measured(local, work(client, setting, link, f"{index}, {number}"))
                wall[name].append(seconds)
                worked[name].append(cores)
            client.unregister_checkpoint(_name(link))
            told = ", ".join(f"{name} {values[-1]:.2f} s" for name, values in wall.items())
            print(f"round {index + 1}: {told}", flush=True)
    print(f"pictures of {setting.steps} steps, {setting.describe()}")
    print_seconds(wall)
    print("processor seconds of all processes")
    print_seconds(worked)
    first, following = (median(values) for values in wall.values())
    return print_judgement("the first / those that follow, medians: seconds more", first - following, TARGET_S, " s")


def _first(client: Client, setting: Setting, link: Path, number: str) -> Callable[[], object]:
    def work() -> None:
        client.register_checkpoint(_name(link), link)
        _picture(client, setting, _name(link), number)

    return work


def _picture_of(client: Client, setting: Setting, link: Path, number: str) -> Callable[[], object]:
    return lambda: _picture(client, setting, _name(link), number)


def _measured(local: LocalStack, work: Callable[[], object]) -> tuple[float, float]:
    before = processor_seconds(processes_of(local.stack))
    seconds = timed(work)
    return seconds, processor_seconds(processes_of(local.stack)) - before


def _name(link: Path) -> str:
    return f"file-{link.stem}"


def _picture(client: Client, setting: Setting, checkpoint: str, number: str) -> None:
    # A new prompt each time, for Triptych remembers what it has encoded.
    client.generate(f"a red circle, {number}", checkpoint=checkpoint, **setting.parameters())

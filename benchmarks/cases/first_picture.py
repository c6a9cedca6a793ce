"""A single file's registration and its first picture, against the pictures that follow.

Each round registers the file by another link to it, whose hash is computed anew, and once more, when that is known; its
architecture's graph is known, and the file is in the system's cache. Beside seconds by the clock, those that all
processes' cores worked: on a busy machine they alone say something.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from functools import partial
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
_FOLLOWING = 2
_NEW, _KNOWN, _AFTER = "first picture, hash anew", "first picture, hash known", "pictures that follow"
_Figures = dict[str, list[float]]


def run(setting: Setting) -> bool:
    """Prints the tables; whether the targets are met."""
    file = ensure_single_file(setting.checkpoint(), setting.models, ".safetensors")
    wall: _Figures = {_NEW: [], _KNOWN: [], _AFTER: []}
    worked: _Figures = {name: [] for name in wall}
    local = setting.stack(file)
    with local as client, tempfile.TemporaryDirectory(dir=setting.folder, prefix="first-picture-") as scratch:
        _picture(client, setting, "bench", "warm-up")
        for index in range(setting.rounds):
            link = Path(scratch, f"{index}.safetensors")
            os.link(file, link)
            for first in (_NEW, _KNOWN):
                for name, work in _pictures(client, setting, link, first):
                    seconds, cores = _measured(local, work)
                    wall[name].append(seconds)
                    worked[name].append(cores)
                client.unregister_checkpoint(_name(link))
            told = ", ".join(f"{name} {values[-1]:.2f} s" for name, values in wall.items())
            print(f"round {index + 1}: {told}", flush=True)
    print(f"pictures of {setting.steps} steps, {setting.describe()}")
    print_seconds(wall)
    print("processor seconds of all processes")
    print_seconds(worked)
    return all([_judged(wall, name) for name in (_NEW, _KNOWN)])  # both, whatever comes of the first


def _judged(wall: _Figures, first: str) -> bool:
    more = median(wall[first]) - median(wall[_AFTER])
    return print_judgement(f"{first}, seconds more than those that follow", more, TARGET_S, " s")


def _pictures(client: Client, setting: Setting, link: Path, first: str) -> list[tuple[str, Callable[[], None]]]:
    """Each with what it is: one that begins with a registration, and those that follow."""

    def picture(number: int) -> None:
        # A new prompt each time, for Triptych remembers what it has encoded.
        _picture(client, setting, _name(link), f"{first} {number}")

    def registered() -> None:
        client.register_checkpoint(_name(link), link)
        picture(0)

    return [(first, registered), *((_AFTER, partial(picture, number + 1)) for number in range(_FOLLOWING))]


def _measured(local: LocalStack, work: Callable[[], object]) -> tuple[float, float]:
    before = processor_seconds(processes_of(local.stack))
    seconds = timed(work)
    return seconds, processor_seconds(processes_of(local.stack)) - before


def _name(link: Path) -> str:
    return f"file-{link.stem}"


def _picture(client: Client, setting: Setting, checkpoint: str, number: str) -> None:
    client.generate(f"a red circle, {number}", checkpoint=checkpoint, **setting.parameters())

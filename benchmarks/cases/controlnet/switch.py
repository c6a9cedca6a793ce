"""The first picture under a ControlNet that nobody has drawn under yet, against those that follow under it.

Its weights are in the system's file cache, as those of ControlNets in use are, and its SHA-256 is known, or is computed
from the first picture on.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from statistics import median

from benchmarks.controlnets import copies, register
from benchmarks.processes import processes_of, processor_seconds
from benchmarks.report import print_judgement, print_seconds
from benchmarks.setting import Setting
from benchmarks.turns import timed
from triptych.embedded import LocalStack
from triptych.measuring.controlnets import edges
from triptych.sdk import Client, Control

TARGET_RATIO = 1.03
TARGET_MORE_S = 1.0
_FOLLOWING = 2
_KNOWN, _ANEW, _AFTER = "first picture, hash known", "first picture, hash anew", "pictures that follow"
_Figures = dict[str, list[float]]


def run(setting: Setting) -> bool:
    """Prints the tables; whether the targets are met."""
    wall: _Figures = {_KNOWN: [], _ANEW: [], _AFTER: []}
    worked: _Figures = {name: [] for name in wall}
    local = setting.stack(setting.checkpoint())
    with local as client, tempfile.TemporaryDirectory(dir=setting.folder, prefix="control-switch-") as scratch:
        names = [
            register(client, path, with_hash=not number % 2)
            for number, path in enumerate(copies(setting.controlnet(), Path(scratch), 2 * setting.rounds + 2))
        ]
        _picture(client, setting, names.pop(), "warm-up")
        for number, name in enumerate(names[: 2 * setting.rounds]):
            first = _ANEW if number % 2 else _KNOWN
            for kind in (first, *[_AFTER] * _FOLLOWING):
                seconds, cores = _measured(local, client, setting, name, f"{number}, {kind}, {len(wall[kind])}")
                wall[kind].append(seconds)
                worked[kind].append(cores)
            told = ", ".join(f"{kind} {wall[kind][-1]:.2f} s" for kind in (first, _AFTER))
            print(f"ControlNet {number + 1}: {told}", flush=True)
    print(f"pictures of {setting.steps} steps, {setting.describe()}")
    print_seconds(wall)
    print("processor seconds of all processes")
    print_seconds(worked)
    return all([_judged(wall, first) for first in (_KNOWN, _ANEW)])  # both, whatever comes of the first


def _judged(wall: _Figures, first: str) -> bool:
    more = median(wall[first]) - TARGET_RATIO * median(wall[_AFTER])
    return print_judgement(f"{first}, seconds beyond {TARGET_RATIO} of those that follow", more, TARGET_MORE_S, " s")


def _measured(local: LocalStack, client: Client, setting: Setting, name: str, number: str) -> tuple[float, float]:
    before = processor_seconds(processes_of(local.stack))
    seconds = timed(lambda: _picture(client, setting, name, number))
    return seconds, processor_seconds(processes_of(local.stack)) - before


def _picture(client: Client, setting: Setting, name: str, number: str) -> None:
    # A new prompt each time, for Triptych remembers what it has encoded.
    client.generate(f"a red circle, {number}", controls=[Control(name, edges(setting.size))], **setting.parameters())

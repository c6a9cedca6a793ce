"""Whether a step takes the same time after 1,000 exchanges of LoRA sets as after a few, and the same memory.

A step follows every exchange: two sets that are kept, the base, and now and then a set that is merged anew. An engine
that nothing is exchanged in takes turns with it, for over so many minutes the machine itself gets slower and faster.
"""

from __future__ import annotations

import os
from statistics import median

from benchmarks.loras import BenchLora, lora_path, pair
from benchmarks.processes import read_memory
from benchmarks.report import print_judgement, print_table
from benchmarks.setting import Setting
from benchmarks.turns import Side, take_turns, timed
from benchmarks.unet_steps import UnetSteps
from triptych.engine import Engine, load_engine
from triptych.engine.weights import map_files
from triptych.stage.lora_sets import BASE, LoraSets

TARGET_RATIO = 1.03
TARGET_MEMORY_RATIO = 1.02
# The two that are kept and one more of a full-size UNet: full before anything is measured.
_CAPACITY_BYTES = 3 * 1024**3
_CONTROL_STEPS = 10
_MERGES_EACH = 25


def run(setting: Setting) -> bool:
    """Prints the table; whether both targets are met. `rounds` times `steps` are the exchanges."""
    unet = UnetSteps.of(setting)
    control = load_engine("onnxruntime", unet.component, unet.settings)
    engine = load_engine("onnxruntime", unet.component, unet.settings)
    swaps = _Swaps(setting, unet, engine)
    sides: dict[str, Side] = {
        "after an exchange": swaps.step_seconds,
        "nothing exchanged": lambda _round: _median_step(unet, control),
    }
    for side in sides.values():
        side(-1)
    before = read_memory(os.getpid())
    seconds = take_turns(sides, setting.rounds)
    grown = read_memory(os.getpid()).resident / before.resident
    swaps.close()
    ratios = [one / other for one, other in zip(*seconds.values(), strict=True)]
    fifth = max(1, len(ratios) // 5)
    first, last = median(ratios[:fifth]), median(ratios[-fifth:])
    print(f"{setting.rounds * setting.steps} exchanges, one step of two samples after each, {setting.describe()}")
    print_table(
        ("step after an exchange / step of an engine that knows none", "ratio"),
        [("the first fifth", f"{first:.3f}"), ("the last fifth", f"{last:.3f}")],
    )
    met = print_judgement("the last fifth's ratio to the first's", last / first, TARGET_RATIO)
    return print_judgement("resident memory after / before", grown, TARGET_MEMORY_RATIO) and met


def _step(unet: UnetSteps, engine: Engine) -> float:
    return timed(lambda: engine.infer(unet.inputs))


def _median_step(unet: UnetSteps, engine: Engine) -> float:
    return median(_step(unet, engine) for _ in range(_CONTROL_STEPS))


class _Swaps:
    """Exchanges one set after the other in one engine."""

    def __init__(self, setting: Setting, unet: UnetSteps, engine: Engine) -> None:
        self._setting, self._unet, self._engine = setting, unet, engine
        self._kept = pair(setting.folder, setting.models, unet.component)
        self._sets = LoraSets(engine, unet.component, map_files(unet.component), _CAPACITY_BYTES)
        self._count = 0

    def step_seconds(self, _round: int) -> float:
        """The median of the steps after one round's exchanges."""
        seconds = []
        for _ in range(self._setting.steps):
            self._exchange()
            seconds.append(_step(self._unet, self._engine))
        return median(seconds)

    def close(self) -> None:
        """Ends its thread."""
        self._sets.close()

    def _exchange(self) -> None:
        self._count += 1
        if self._count % _MERGES_EACH == 0:
            path = lora_path(self._setting.folder, self._setting.models, 1)
            BenchLora.of(path, self._unet.component, 1, 1 / self._count).bring(self._sets)
        elif self._count % 3 == 0:
            self._sets.activate(BASE)
        else:
            self._kept[self._count % 2].bring(self._sets)

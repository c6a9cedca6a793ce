"""Whether a step takes the same time after 1,000 exchanges of LoRA sets as after a few, and the same memory.

A step follows every exchange: two sets that are kept, the base, and now and then one that is merged anew. After some,
the next step is that of an engine in which nothing is exchanged: over so many minutes the machine itself gets slower.
"""

from __future__ import annotations

import os
from statistics import median

from benchmarks.loras import BenchLora, lora_path, pair
from benchmarks.processes import read_memory
from benchmarks.report import print_judgement, print_table
from benchmarks.setting import Setting
from benchmarks.turns import timed
from benchmarks.unet_steps import UnetSteps
from triptych.checkpoint import Component
from triptych.engine import Engine, load_engine
from triptych.engine.weights import map_files
from triptych.measuring.loras import layers
from triptych.stage.lora_sets import BASE, LoraSets

TARGET_RATIO = 1.03
TARGET_MEMORY_RATIO = 1.02
# The two that are kept and one more: full before anything is measured.
_KEPT_SETS = 3
_MERGES_EACH = 25
# No divisor of three, so that the step compared follows each kind of exchange.
_CONTROLS_EACH = 4


def run(setting: Setting) -> bool:
    """Prints the table; whether both targets are met. `rounds` times `steps` are the exchanges."""
    swaps = _Swaps(setting, UnetSteps.of(setting, samples=1))
    swaps.round_ratio()
    ratios, resident = [], []
    for number in range(1, setting.rounds + 1):
        ratios.append(swaps.round_ratio())
        memory = read_memory(os.getpid())
        resident.append(memory.resident)
        told = f"{ratios[-1]:.3f}, {memory.resident:.0f} MB resident, {memory.anonymous:.0f} of no file"
        print(f"after {number * setting.steps} exchanges: {told}", flush=True)
    swaps.close()
    fifth = max(1, len(ratios) // 5)
    # By then as many sets were merged as may be kept, and one more, which has to be there before one of them goes.
    grown = resident[-1] / resident[fifth - 1]
    first, last = median(ratios[:fifth]), median(ratios[-fifth:])
    print(f"{setting.rounds * setting.steps} exchanges, a step of one sample after each, {setting.describe()}")
    print_table(
        ("step after an exchange / step of an engine that knows none", "ratio"),
        [("the first fifth", f"{first:.3f}"), ("the last fifth", f"{last:.3f}")],
    )
    met = print_judgement("the last fifth's ratio to the first's", last / first, TARGET_RATIO)
    return print_judgement("resident memory at the end / after the first fifth", grown, TARGET_MEMORY_RATIO) and met


class _Swaps:
    """Exchanges one set after the other in one of two engines."""

    def __init__(self, setting: Setting, unet: UnetSteps) -> None:
        self._setting, self._unet = setting, unet
        self._control = load_engine("onnxruntime", unet.component, unet.settings)
        self._engine = load_engine("onnxruntime", unet.component, unet.settings)
        self._kept = pair(setting.folder, setting.models, unet.component)
        capacity_bytes = _KEPT_SETS * _set_bytes(unet.component)
        self._sets = LoraSets(self._engine, unet.component, map_files(unet.component), capacity_bytes)
        self._count = 0

    def round_ratio(self) -> float:
        """The median, over some of one round's exchanges, of the step after one to the other engine's next step."""
        ratios = []
        for number in range(self._setting.steps):
            self._exchange()
            seconds = self._step(self._engine)
            if number % _CONTROLS_EACH == 0:
                ratios.append(seconds / self._step(self._control))
        return median(ratios)

    def close(self) -> None:
        """Ends its thread."""
        self._sets.close()

    def _step(self, engine: Engine) -> float:
        return timed(lambda: engine.infer(self._unet.inputs))

    def _exchange(self) -> None:
        self._count += 1
        if self._count % _MERGES_EACH == 0:
            path = lora_path(self._setting.folder, self._setting.models, 1)
            BenchLora.of(path, self._unet.component, 1, 1 / self._count).bring(self._sets)
        elif self._count % 3 == 0:
            self._sets.activate(BASE)
        else:
            self._kept[self._count % 2].bring(self._sets)


def _set_bytes(component: Component) -> int:
    """Of a set merged, in the types that the files have."""
    return sum(component.weights[name].size_bytes for name in layers(component))

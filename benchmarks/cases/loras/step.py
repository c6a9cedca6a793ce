"""What a LoRA set costs every step: one engine with a rank-16 set in its weights and without, taking turns."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.loras import pair
from benchmarks.report import print_judgement, print_seconds
from benchmarks.setting import Setting
from benchmarks.turns import Side, ratio_by_round, take_turns
from benchmarks.unet_steps import UnetSteps
from triptych.engine import load_engine
from triptych.engine.weights import map_files
from triptych.measuring.loras import RANK, layers
from triptych.stage.lora_sets import BASE, LoraSets

TARGET_RATIO = 1.03
_CAPACITY_BYTES = 4 * 1024**3


def run(setting: Setting) -> bool:
    """Prints the table; whether the target is met."""
    unet = UnetSteps.of(setting)
    lora, _ = pair(setting.folder, setting.models, unet.component)
    engine = load_engine("onnxruntime", unet.component, unet.settings)
    lora_sets = LoraSets(engine, unet.component, map_files(unet.component), _CAPACITY_BYTES)

    def step_after(exchange: Callable[[], object]) -> float:
        exchange()
        return unet.seconds(engine)

    sides: dict[str, Side] = {
        "without": lambda _round: step_after(lambda: lora_sets.activate(BASE)),
        "with a set": lambda _round: step_after(lambda: lora.bring(lora_sets)),
    }
    for side in sides.values():
        side(0)  # reads the weights from the disk, merges the set, and grows the engine's memory
    seconds = take_turns(sides, setting.rounds)
    lora_sets.close()
    count = len(layers(unet.component))
    print(f"one step of two samples, {setting.describe()}; LoRA of rank {RANK} in {count} matrices")
    print_seconds(seconds)
    ratio = ratio_by_round(seconds["with a set"], seconds["without"])
    return print_judgement("median of the rounds' ratios", ratio, TARGET_RATIO)

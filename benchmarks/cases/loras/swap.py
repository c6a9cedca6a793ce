"""How long another LoRA set takes to come into a running engine, in units of one step, and two sets that alternate.

Two ways to alternate are measured: both merged sets are kept and the engine is pointed from one to the other, or each
is merged anew every time it comes. A third, a low-rank branch beside every matrix, would burden every step instead.
"""

from __future__ import annotations

from functools import partial
from statistics import median

from benchmarks.loras import BenchLora, pair
from benchmarks.report import print_judgement, print_seconds, print_table
from benchmarks.setting import Setting
from benchmarks.turns import take_turns, timed
from benchmarks.unet_steps import UnetSteps
from triptych.engine import Engine, load_engine
from triptych.engine.weights import map_files
from triptych.measuring.loras import RANK, layers
from triptych.stage.lora_sets import BASE, LoraSets

TARGET_NEW_SET_STEPS = 1.0
TARGET_BASE_STEPS = 0.2
_KEEPS_BOTH_BYTES = 4 * 1024**3
_KEEPS_NONE_BYTES = 1


def run(setting: Setting) -> bool:
    """Prints both tables; whether both targets are met."""
    unet = UnetSteps.of(setting)
    loras = pair(setting.folder, setting.models, unet.component)
    engine = load_engine("onnxruntime", unet.component, unet.settings)
    kept, merged = (_Alternation(unet, engine, loras, capacity) for capacity in (_KEEPS_BOTH_BYTES, _KEEPS_NONE_BYTES))
    sides = {"step": lambda _round: unet.seconds(engine), "kept": kept.step_seconds, "merged": merged.step_seconds}
    for side in sides.values():
        side(0)
    for alternation in (kept, merged):
        alternation.forget()
    seconds = take_turns(sides, setting.rounds)
    for alternation in (kept, merged):
        alternation.close()
    step = median(seconds["step"])
    print(f"LoRA sets of rank {RANK} in {len(layers(unet.component))} matrices, {setting.describe()}")
    swaps = {
        "another set: merged and activated": merged.swap_seconds,
        "a set that is still kept": kept.swap_seconds,
        "back to the base": merged.base_seconds + kept.base_seconds,
    }
    print_seconds({"one step of two samples": seconds["step"], **swaps}, digits=5)
    print("two sets that alternate with every step: exchange and step together")
    ways = {"both merged sets kept": seconds["kept"], "merged every time": seconds["merged"]}
    print_table(("", "seconds", "steps without LoRA"), [_row(name, values, step) for name, values in ways.items()])
    met = print_judgement("another set, in steps", median(merged.swap_seconds) / step, TARGET_NEW_SET_STEPS)
    base = median(swaps["back to the base"]) / step
    return print_judgement("back to the base, in steps", base, TARGET_BASE_STEPS) and met


def _row(name: str, seconds: list[float], step: float) -> tuple[str, str, str]:
    return name, f"{median(seconds):.3f}", f"{median(seconds) / step:.2f}"


class _Alternation:
    """Two sets in turns, from the base and back to it, for a LoraSets that finds its engine as it left it."""

    def __init__(
        self, unet: UnetSteps, engine: Engine, loras: tuple[BenchLora, BenchLora], capacity_bytes: int
    ) -> None:
        self._unet = unet
        self._engine = engine
        self._loras = loras
        self._lora_sets = LoraSets(engine, unet.component, map_files(unet.component), capacity_bytes)
        self.forget()

    def forget(self) -> None:
        """Drops the figures taken so far, not the sets."""
        self.swap_seconds: list[float] = []
        self.base_seconds: list[float] = []

    def step_seconds(self, _round: int) -> float:
        """One exchange and one step, the mean over both sets."""
        total = 0.0
        for lora in self._loras:
            self.swap_seconds.append(timed(partial(lora.bring, self._lora_sets)))
            total += self.swap_seconds[-1] + self._unet.seconds(self._engine)
        self.base_seconds.append(timed(lambda: self._lora_sets.activate(BASE)))
        return total / len(self._loras)

    def close(self) -> None:
        """Ends its thread."""
        self._lora_sets.close()

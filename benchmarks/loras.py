"""How a stage takes on a LoRA of random weights.

ink = BenchLora.of(folder / "ink.safetensors", component, seed=1)
ink.bring(lora_sets)    # merged, and in the engine
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

from triptych.checkpoint import Component
from triptych.contract import LoraWeight, encode_lora_set, lora_key
from triptych.errors import UnavailableError
from triptych.measuring.loras import RANK, ensure_lora
from triptych.stage.lora_sets import LoraSets

_POLL_S = 0.001


@dataclass(frozen=True)
class BenchLora:
    """A set of one LoRA, as a step names it to a stage."""

    key: bytes
    content: bytes

    @classmethod
    def of(cls, path: Path, component: Component, seed: int, weight: float = 1.0) -> BenchLora:
        """The file is made if it is not there."""
        ensure_lora(path, component, seed)
        lora_set = (LoraWeight(hashlib.sha256(path.read_bytes()).hexdigest(), str(path), weight),)
        return cls(lora_key(lora_set), encode_lora_set(lora_set))

    def bring(self, lora_sets: LoraSets) -> None:
        """Waits until the set is merged, and has the engine run with it."""
        while True:
            try:
                merged = lora_sets.require(self.key, self.content)
            except UnavailableError:
                time.sleep(_POLL_S)
            else:
                break
        lora_sets.activate(merged)


def pair(folder: Path, models: str, component: Component) -> tuple[BenchLora, BenchLora]:
    """Two that change the same matrices, each in its own way."""
    first, second = (BenchLora.of(lora_path(folder, models, seed), component, seed) for seed in (1, 2))
    return first, second


def lora_path(folder: Path, models: str, seed: int) -> Path:
    """Where one lies."""
    return folder / f"{models}-rank{RANK}-{seed}.safetensors"

"""Random LoRA files for a checkpoint's UNet, in the layout of kohya's sd-scripts, and how a stage takes one on.

ink = BenchLora.of(folder / "ink.safetensors", component, seed=1)
ink.bring(lora_sets)    # merged, and in the engine
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from triptych.checkpoint import Component
from triptych.contract import LoraWeight, encode_lora_set, lora_key
from triptych.errors import UnavailableError
from triptych.stage.lora_sets import LoraSets

RANK = 16
_LAYERS = (".attn1.", ".attn2.", ".ff.")
_POLL_S = 0.001


@dataclass(frozen=True)
class BenchLora:
    """A set of one LoRA, as a step names it to a stage."""

    key: bytes
    content: bytes

    @classmethod
    def of(cls, path: Path, component: Component, seed: int) -> BenchLora:
        """The file is made if it is not there."""
        if not path.is_file():
            _save(path, component, seed)
        lora_set = (LoraWeight(hashlib.sha256(path.read_bytes()).hexdigest(), str(path), 1.0),)
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
    first, second = (
        BenchLora.of(folder / f"{models}-rank{RANK}-{seed}.safetensors", component, seed) for seed in (1, 2)
    )
    return first, second


def layers(component: Component) -> list[str]:
    """The matrices that it changes: all of attention and of the feed-forward layers."""
    weights = component.weights.items()
    return [name for name, info in weights if len(info.shape) == 2 and any(part in name for part in _LAYERS)]


def _save(path: Path, component: Component, seed: int) -> None:
    noise = np.random.default_rng(seed)
    tensors: dict[str, npt.NDArray[np.float16]] = {}
    for name in layers(component):
        key = "lora_unet_" + name.removesuffix(".weight").replace(".", "_")
        outputs, inputs = component.weights[name].shape
        down = noise.standard_normal((RANK, inputs), np.float32) * inputs**-0.5
        up = noise.standard_normal((outputs, RANK), np.float32) * 0.01
        tensors[f"{key}.lora_down.weight"] = down.astype(np.float16)
        tensors[f"{key}.lora_up.weight"] = up.astype(np.float16)
        tensors[f"{key}.alpha"] = np.array(RANK, np.float16)
    building = path.with_name(f"{path.name}.building")
    save_file(tensors, building)
    building.rename(path)

"""Random LoRA files for a checkpoint's UNet, in the layout of kohya's sd-scripts.

path = ensure_lora(folder / "ink.safetensors", component, seed=1)
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from triptych.checkpoint import Component

RANK = 16
_LAYERS = (".attn1.", ".attn2.", ".ff.")


def layers(component: Component) -> list[str]:
    """The matrices that it changes: all of attention and of the feed-forward layers."""
    return [name for name in linears(component) if any(part in name for part in _LAYERS)]


def linears(component: Component) -> list[str]:
    """The matrices of all its Linear layers."""
    return [name for name, info in component.weights.items() if len(info.shape) == 2]


def ensure_lora(path: Path, component: Component, seed: int, names: Sequence[str] | None = None) -> Path:
    """The file, made if it is not there; it changes the named matrices, or else `layers`."""
    if not path.is_file():
        _save(path, component, seed, layers(component) if names is None else names)
    return path


def _save(path: Path, component: Component, seed: int, names: Sequence[str]) -> None:
    noise = np.random.default_rng(seed)
    tensors: dict[str, npt.NDArray[np.float16]] = {}
    for name in names:
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

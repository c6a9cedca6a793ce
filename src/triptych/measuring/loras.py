"""Random LoRA files for a checkpoint, in the layout of kohya's sd-scripts.

path = ensure_lora(folder / "ink.safetensors", component, seed=1)    # the UNet's transformers
path = ensure_whole_lora(folder / "all.safetensors", checkpoint.components, seed=1)    # UNet and text encoders
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from safetensors.numpy import save_file

from triptych.checkpoint import Component
from triptych.contract import ENCODER, ENCODER_2, UNET

RANK = 16
_WORDS = {UNET.name: "unet", ENCODER.name: "text_encoder", ENCODER_2.name: "text_encoder_2"}
_TABLES = (".token_embedding.weight", ".position_embedding.weight")
_LAYERS = (".attn1.", ".attn2.", ".ff.")


def layers(component: Component) -> list[str]:
    """The matrices that it changes: all of attention and of the feed-forward layers."""
    return [name for name in linears(component) if any(part in name for part in _LAYERS)]


def linears(component: Component) -> list[str]:
    """The matrices of all its Linear layers."""
    return [name for name, info in component.weights.items() if len(info.shape) == 2 and not name.endswith(_TABLES)]


def ensure_lora(path: Path, component: Component, seed: int) -> Path:
    """The file, made if it is not there; it changes the UNet's `layers`."""
    if not path.is_file():
        _save(path, seed, [_Layer("unet", component, name) for name in layers(component)])
    return path


def ensure_whole_lora(path: Path, components: Mapping[str, Component], seed: int) -> Path:
    """Likewise for all `linears` of the UNet and of each text encoder."""
    if not path.is_file():
        models = [(word, components[model]) for model, word in _WORDS.items() if model in components]
        _save(path, seed, [_Layer(word, each, name) for word, each in models for name in linears(each)])
    return path


class _Layer(NamedTuple):
    word: str
    component: Component
    weight: str


def _save(path: Path, seed: int, changed: Iterable[_Layer]) -> None:
    noise = np.random.default_rng(seed)
    tensors: dict[str, npt.NDArray[np.float16]] = {}
    for word, component, name in changed:
        key = f"lora_{word}_" + name.removesuffix(".weight").replace(".", "_")
        outputs, inputs = component.weights[name].shape
        down = noise.standard_normal((RANK, inputs), np.float32) * inputs**-0.5
        up = noise.standard_normal((outputs, RANK), np.float32) * 0.01
        tensors[f"{key}.lora_down.weight"] = down.astype(np.float16)
        tensors[f"{key}.lora_up.weight"] = up.astype(np.float16)
        tensors[f"{key}.alpha"] = np.array(RANK, np.float16)
    building = path.with_name(f"{path.name}.building")
    save_file(tensors, building)
    building.rename(path)

"""What a tensor's name says in each LoRA format: which module it belongs to, and as which part.

| format | a module's tensors |
| --- | --- |
| kohya (and LyCORIS) | `lora_unet_a_to_q` + `.lora_down.weight`, `.lora_up.weight`, `.lora_mid.weight`, `.alpha` |
| peft, newer diffusers | `unet.a.to_q` + `.lora_A.weight`, `.lora_B.weight` (or `.lora_A.<adapter>.weight`) |
| older diffusers | `unet.a.processor.to_q` + `_lora.down.weight`; `q_proj` + `.lora_linear_layer.down.weight` |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Part = Literal["down", "up", "mid", "alpha"]

_OLD = r"(?:_lora|\.lora|\.lora_linear_layer)"
_PATTERNS = {
    "kohya": re.compile(r"(.+)\.lora_(down|up|mid)\.weight", re.DOTALL),
    "peft": re.compile(r"(.+)\.lora_(A|B)(?:\.[^.]+)?\.weight", re.DOTALL),
    "diffusers": re.compile(rf"(.+?){_OLD}\.(down|up)\.weight", re.DOTALL),
    "": re.compile(rf"(.+?){_OLD}?\.(alpha)", re.DOTALL),
}
_PARTS: dict[str, Part] = {"down": "down", "A": "down", "up": "up", "B": "up", "mid": "mid", "alpha": "alpha"}
_DIFFUSERS_PREFIXES = ("unet.", "text_encoder.", "text_encoder_2.")


@dataclass(frozen=True)
class TensorName:
    """A tensor's name taken apart; `format` is empty where the name is the same in all of them."""

    key: str
    part: Part
    format: str


def read_name(name: str) -> TensorName | None:
    """A tensor's name taken apart, or None if it is no part of a LoRA that we know."""
    for file_format, pattern in _PATTERNS.items():
        if match := pattern.fullmatch(name):
            key = match[1]
            named_by_diffusers = file_format == "peft" and key.startswith(_DIFFUSERS_PREFIXES)
            return TensorName(key, _PARTS[match[2]], "diffusers" if named_by_diffusers else file_format)
    return None

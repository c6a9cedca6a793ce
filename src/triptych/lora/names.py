"""What a tensor's name says, whoever wrote it: which module it belongs to, and as which part.

| writer | a module's tensors |
| --- | --- |
| kohya, LyCORIS, OneTrainer | `lora_unet_a_to_q` + `.lora_down.weight`, `.alpha`, `.hada_w1_a`, `.diff` and so on |
| PEFT, newer diffusers | `unet.a.to_q` + `.lora_A.weight` or `.lora_A.<adapter>.weight`, `.lokr_w1`, `.ia3_l` |
| older diffusers | `unet.a.processor.to_q` + `_lora.down.weight`; `q_proj` + `.lora_linear_layer.down.weight` |
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from triptych.lora.algorithms import ALGORITHMS, SAVED

_DOWN_UP = {f"lora_{part}.weight": part for part in ("down", "up", "mid")}
_WEIGHTS = {f"{part}.weight": part for part in ("a1", "a2", "b1", "b2", "oft_R")}
_SAME = {part: part for algorithm in ALGORITHMS for part in algorithm.parts - SAVED.parts - {"down", "up", "mid"}}
_ENDS = _DOWN_UP | _WEIGHTS | {part: name for part, name in _SAME.items() if part not in ("a1", "a2", "b1", "b2")}
_PEFT = re.compile(r"(.+)\.(lora_A|lora_B|lora_magnitude_vector)(?:\.[^.]+)??\.(weight|bias)", re.DOTALL)
_PEFT_PARTS = {
    ("lora_A", "weight"): "down",
    ("lora_B", "weight"): "up",
    ("lora_B", "bias"): "lora_B_bias",
    ("lora_magnitude_vector", "weight"): "lora_magnitude_vector",
}
_OLD_DIFFUSERS = re.compile(r"(.+?)(?:_lora|\.lora|\.lora_linear_layer)\.(down|up)\.weight", re.DOTALL)
_OLD_END = re.compile(r"(?:_lora|\.lora|\.lora_linear_layer)$")
_DIFFUSERS_PREFIXES = ("unet.", "text_encoder.", "text_encoder_2.")
_PEFT_PREFIX = "base_model.model."
# Parts of a module's path that PEFT and torch put in and that no layer is called.
_INSERTED = re.compile(r"\.(?:processor|base_layer|modules_to_save(?:\.default)?|_orig_mod)(?=\.|$)|^_orig_mod\.")


@dataclass(frozen=True)
class TensorName:
    """A tensor's name taken apart; `format` is empty where the part's name is the same for all writers."""

    key: str
    part: str
    format: str


def read_name(name: str) -> TensorName | None:
    """A tensor's name taken apart, or None if it is no part of any algorithm."""
    pieces = name.rsplit(".", 2)
    for count in (2, 1):
        end, key = ".".join(pieces[-count:]), ".".join(pieces[:-count])
        if key and end == "alpha":
            return TensorName(_OLD_END.sub("", key), end, "")
        if key and end in _ENDS:
            return TensorName(key, _ENDS[end], _format(key, "kohya"))
    if (match := _PEFT.fullmatch(name)) and (part := _PEFT_PARTS.get((match[2], match[3]))):
        return TensorName(match[1], part, _format(match[1], "peft"))
    if match := _OLD_DIFFUSERS.fullmatch(name):
        return TensorName(match[1], match[2], "diffusers")
    key, _, end = name.rpartition(".")
    return TensorName(key, end, "") if key and end in SAVED.parts else None


def layer_name(key: str) -> str:
    """The module's path without what stands in it and is no layer."""
    return _INSERTED.sub("", key)


def _format(key: str, otherwise: str) -> str:
    if key.startswith(_DIFFUSERS_PREFIXES):
        return "diffusers"
    return "peft" if key.startswith(_PEFT_PREFIX) else otherwise

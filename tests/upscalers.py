"""Tiny upscalers of the true architectures, and what each is to make, written as plain functions of their tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import conv2d, interpolate, leaky_relu, pixel_shuffle, pixel_unshuffle, prelu

FEATURES, GROWTH, BLOCKS = 8, 4, 2
Tensors = dict[str, torch.Tensor]


def rrdb(scale: int = 4, *, unshuffled: bool = False, seed: int = 0) -> Tensors:
    """Today's names. Real-ESRGAN's for 2 and for 1 lay pixels side by side, and enlarge four times all the same."""
    torch.manual_seed(seed)
    channels = 3 * (4 // scale) ** 2 if unshuffled else 3
    tensors = _layer("conv_first", FEATURES, channels)
    for block in range(BLOCKS):
        for dense in range(1, 4):
            for number in range(5):
                made = GROWTH if number < 4 else FEATURES
                tensors |= _layer(f"body.{block}.rdb{dense}.conv{number + 1}", made, FEATURES + number * GROWTH)
    doublings = 2 if unshuffled else {1: 0, 2: 1, 4: 2}[scale]
    for name in ("conv_body", *(f"conv_up{number + 1}" for number in range(doublings)), "conv_hr"):
        tensors |= _layer(name, FEATURES, FEATURES)
    return tensors | _layer("conv_last", 3, FEATURES)


def compact(scale: int = 4, layers: int = 3) -> Tensors:
    """The compact network's."""
    torch.manual_seed(1)
    tensors = _layer("body.0", FEATURES, 3)
    for number in range(layers + 1):
        tensors[f"body.{2 * number + 1}.weight"] = torch.rand(FEATURES) / 2
        made = FEATURES if number < layers else 3 * scale**2
        tensors |= _layer(f"body.{2 * number + 2}", made, FEATURES)
    return tensors


def as_first_written(tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """The names of ESRGAN's own files."""
    old = {"body": "RRDB_trunk", "conv_body": "trunk_conv", "conv_up": "upconv", "conv_hr": "HRconv"}
    return {
        re.sub(r"^(conv_body|conv_up|conv_hr|body)", lambda match: old[match[1]], name).replace("rdb", "RDB"): tensor
        for name, tensor in tensors.items()
    }


def as_sequence(tensors: Mapping[str, torch.Tensor]) -> Tensors:
    """The names of the files before those: layers counted, activations and upsamplings with them."""
    doublings = sum(name.startswith("conv_up") and name.endswith("weight") for name in tensors)
    of = {"conv_first": "0", "conv_body": f"1.sub.{BLOCKS}"}
    of |= {f"conv_up{number + 1}": str(3 * number + 3) for number in range(doublings)}
    of |= {"conv_hr": str(3 * doublings + 2), "conv_last": str(3 * doublings + 4)}
    named = {}
    for name, tensor in tensors.items():
        layer, _, kind = name.rpartition(".")
        if match := re.fullmatch(r"body\.(\d)\.rdb(\d)\.conv(\d)", layer):
            layer = f"1.sub.{match[1]}.RDB{match[2]}.conv{match[3]}.0"
        named[f"model.{of.get(layer, layer)}.{kind}"] = tensor
    return named


def rrdb_forward(tensors: Mapping[str, torch.Tensor], image: torch.Tensor) -> torch.Tensor:
    """image [1, 3, H, W] in [0, 1], larger."""

    def layer(name: str, source: torch.Tensor) -> torch.Tensor:
        return conv2d(source, tensors[f"{name}.weight"], tensors[f"{name}.bias"], padding=1)

    def active(name: str, source: torch.Tensor) -> torch.Tensor:
        return leaky_relu(layer(name, source), 0.2)

    together = {3: 1, 12: 2, 48: 4}[tensors["conv_first.weight"].shape[1]]
    begun = layer("conv_first", pixel_unshuffle(image, together))
    body = begun
    for block in range(BLOCKS):
        before = body
        for dense in range(1, 4):
            name = f"body.{block}.rdb{dense}.conv"
            one = active(f"{name}1", body)
            two = active(f"{name}2", torch.cat((body, one), 1))
            three = active(f"{name}3", torch.cat((body, one, two), 1))
            four = active(f"{name}4", torch.cat((body, one, two, three), 1))
            body = layer(f"{name}5", torch.cat((body, one, two, three, four), 1)) * 0.2 + body
        body = body * 0.2 + before
    features = begun + layer("conv_body", body)
    for number in range(1, 4):
        if f"conv_up{number}.weight" in tensors:
            features = active(f"conv_up{number}", interpolate(features, scale_factor=2, mode="nearest"))
    return layer("conv_last", active("conv_hr", features))


def compact_forward(tensors: Mapping[str, torch.Tensor], image: torch.Tensor, scale: int = 4) -> torch.Tensor:
    """image [1, 3, H, W] in [0, 1], larger."""
    made = image
    for number in range(len(tensors) // 3 + 1):
        name = f"body.{2 * number}"
        made = conv2d(made, tensors[f"{name}.weight"], tensors[f"{name}.bias"], padding=1)
        if (slope := tensors.get(f"body.{2 * number + 1}.weight")) is not None:
            made = prelu(made, slope)
    return pixel_shuffle(made, scale) + interpolate(image, scale_factor=scale, mode="nearest")


def _layer(name: str, made: int, taken: int) -> dict[str, Any]:
    """Large enough that every layer shows in the picture."""
    return {
        f"{name}.weight": torch.randn(made, taken, 3, 3) / (3 * taken**0.5),
        f"{name}.bias": torch.randn(made) / 10,
    }

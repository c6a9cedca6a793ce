"""Of a torch module a second one over the same parameters, whose convolutions wrap around, for pictures that tile."""

from __future__ import annotations

import copy
from functools import partial

import torch
from torch import nn
from torch.nn.functional import conv2d, pad


def wrapped(module: nn.Module, axes: str) -> nn.Module:
    """Along "x", "y" or "xy" as if `padding_mode` were "circular", elsewhere with zeros as the module itself.

    Another object, so that whoever runs, records or compiles the module meanwhile sees no change.
    """
    tensors = (*module.parameters(), *module.buffers())
    twin = copy.deepcopy(module, {id(tensor): tensor for tensor in tensors})
    for layer in twin.modules():
        if isinstance(layer, nn.Conv2d) and any(layer.padding):
            layer._conv_forward = partial(_conv_forward, layer, axes)  # type: ignore[method-assign]
    return twin


def _conv_forward(
    layer: nn.Conv2d, axes: str, source: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None
) -> torch.Tensor:
    tall, wide = (int(extent) for extent in layer.padding)
    around_y, around_x = tall * ("y" in axes), wide * ("x" in axes)
    padded = pad(source, (around_x, around_x, around_y, around_y), mode="circular")
    rest = (tall - around_y, wide - around_x)
    return conv2d(padded, weight, bias, layer.stride, rest, layer.dilation, layer.groups)

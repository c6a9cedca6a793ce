"""diffusers' models made to draw pictures that tile: the reference of engines and of whole pictures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import MethodType
from typing import Any

from torch import nn
from torch.nn.functional import conv2d, pad


@contextmanager
def wrapped(axes: str, *models: Any) -> Iterator[None]:
    """As A1111 does it, by `padding_mode`; torch has none for one axis alone, so there the source is padded twice."""
    layers = [layer for model in models for layer in model.modules() if isinstance(layer, nn.Conv2d)]
    for layer in layers:
        if axes == "xy":
            layer.padding_mode = "circular"
        elif axes:
            layer._conv_forward = MethodType(_along_x if axes == "x" else _along_y, layer)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            layer.padding_mode = "zeros"
            layer.__dict__.pop("_conv_forward", None)


def _along_x(self: nn.Conv2d, source: Any, weight: Any, bias: Any) -> Any:
    tall, wide = map(int, self.padding)
    source = pad(pad(source, (wide, wide, 0, 0), mode="circular"), (0, 0, tall, tall))
    return conv2d(source, weight, bias, self.stride, 0, self.dilation, self.groups)


def _along_y(self: nn.Conv2d, source: Any, weight: Any, bias: Any) -> Any:
    tall, wide = map(int, self.padding)
    source = pad(pad(source, (0, 0, tall, tall), mode="circular"), (wide, wide, 0, 0))
    return conv2d(source, weight, bias, self.stride, 0, self.dilation, self.groups)

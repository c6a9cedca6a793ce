"""Upscalers as torch modules, which diffusers has none of; needs torch.

Wang et al., "ESRGAN" (arXiv:1809.00219): residual-in-residual dense blocks between a first convolution and nearest
upsampling. Wang et al., "Real-ESRGAN" (arXiv:2107.10833): the same for pixels laid side by side, and a compact network.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from triptych.checkpoint import Architecture

_SLOPE = 0.2
_RESIDUAL = 0.2
_CONVOLUTIONS = 5


def _activated(layer: nn.Module, source: torch.Tensor) -> torch.Tensor:
    return functional.leaky_relu(layer(source), _SLOPE)


class _Dense(nn.Module):
    """Five convolutions, each of all that came before it; the last one's sum is scaled and added."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        for number in range(1, _CONVOLUTIONS + 1):
            made = growth if number < _CONVOLUTIONS else features
            setattr(self, f"conv{number}", nn.Conv2d(features + (number - 1) * growth, made, 3, padding=1))

    def forward(self, source: torch.Tensor) -> torch.Tensor:
        known = [source]
        for number in range(1, _CONVOLUTIONS):
            known.append(_activated(getattr(self, f"conv{number}"), torch.cat(known, 1)))
        last: torch.Tensor = getattr(self, f"conv{_CONVOLUTIONS}")(torch.cat(known, 1))
        return source + _RESIDUAL * last


class _Block(nn.Module):
    """Three dense ones, their sum scaled and added."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.rdb1, self.rdb2, self.rdb3 = (_Dense(features, growth) for _ in range(3))

    def forward(self, source: torch.Tensor) -> torch.Tensor:
        added: torch.Tensor = self.rdb3(self.rdb2(self.rdb1(source)))
        return source + _RESIDUAL * added


class _RrdbNet(nn.Module):
    """RRDBNet: image [B, 3 u u, h, w] in [0, 1], u pixels each way laid side by side -> image [B, 3, H, W]."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        config = architecture.config
        features, self._upsamplings = config["num_feat"], config["upsamplings"]
        self.conv_first = nn.Conv2d(3 * config["unshuffle"] ** 2, features, 3, padding=1)
        self.body = nn.Sequential(*(_Block(features, config["num_grow_ch"]) for _ in range(config["num_block"])))
        self.conv_body = nn.Conv2d(features, features, 3, padding=1)
        for number in range(1, self._upsamplings + 1):
            setattr(self, f"conv_up{number}", nn.Conv2d(features, features, 3, padding=1))
        self.conv_hr = nn.Conv2d(features, features, 3, padding=1)
        self.conv_last = nn.Conv2d(features, 3, 3, padding=1)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        features = self.conv_first(image)
        features = features + self.conv_body(self.body(features))
        for number in range(1, self._upsamplings + 1):
            larger = functional.interpolate(features, scale_factor=2.0, mode="nearest")
            features = _activated(getattr(self, f"conv_up{number}"), larger)
        return (self.conv_last(_activated(self.conv_hr, features)),)


class _CompactNet(nn.Module):
    """SRVGGNetCompact: image [B, 3, h, w] in [0, 1] -> sample [B, 3, H, W], what it adds to the nearest pixels."""

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        config = architecture.config
        features, self._scale = config["num_feat"], config["scale"]
        layers: list[nn.Module] = [nn.Conv2d(3, features, 3, padding=1), nn.PReLU(features)]
        for _ in range(config["num_conv"]):
            layers += [nn.Conv2d(features, features, 3, padding=1), nn.PReLU(features)]
        self.body = nn.Sequential(*layers, nn.Conv2d(features, 3 * self._scale**2, 3, padding=1))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        added = functional.pixel_shuffle(self.body(image), self._scale)
        return (added + functional.interpolate(image, scale_factor=float(self._scale), mode="nearest"),)


def upscaler_module(architecture: Architecture) -> nn.Module:
    """The one of the architecture's class."""
    return (_RrdbNet if architecture.class_name == "RRDBNet" else _CompactNet)(architecture)

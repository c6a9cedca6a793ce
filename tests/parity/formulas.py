"""What others compute with torch, as their source has it: A1111's noise, and its names for torch's interpolations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

TORCHS: Mapping[str, Mapping[str, Any]] = {
    "latent": {"mode": "bilinear"},
    "latent_antialiased": {"mode": "bilinear", "antialias": True},
    "latent_bicubic": {"mode": "bicubic"},
    "latent_bicubic_antialiased": {"mode": "bicubic", "antialias": True},
    "latent_nearest": {"mode": "nearest"},
    "latent_nearest_exact": {"mode": "nearest-exact"},
}


def torchs_slerp(val: float, low: torch.Tensor, high: torch.Tensor) -> torch.Tensor:
    """Of one picture's noise [C, h, w], as in stable-diffusion-webui's modules/rng.py."""
    low_norm = low / torch.norm(low, dim=1, keepdim=True)
    high_norm = high / torch.norm(high, dim=1, keepdim=True)
    dot = (low_norm * high_norm).sum(1)
    if dot.mean() > 0.9995:
        return low * val + high * (1 - val)
    omega = torch.acos(dot)
    so = torch.sin(omega)
    part = torch.sin((1.0 - val) * omega) / so
    return part.unsqueeze(1) * low + (torch.sin(val * omega) / so).unsqueeze(1) * high


def torchs_noise(seed: int, shape: tuple[int, ...]) -> torch.Tensor:
    """diffusers'."""
    return torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed))


def torchs_first(
    own: torch.Tensor, seed: int, subseed: int, strength: float, resize_from: tuple[int, int] | None
) -> torch.Tensor:
    """The noise [B, C, h, w] that a pass begins with, of which the seed's is `own`; likewise."""
    shape = own.shape[:2] + (resize_from or own.shape[2:])
    noise = own if shape == own.shape else torchs_noise(seed, shape)
    if strength:
        pairs = zip(noise, torchs_noise(subseed, shape), strict=True)
        noise = torch.stack([torchs_slerp(strength, one, other) for one, other in pairs])
    if shape == own.shape:
        return noise
    x = own.clone()
    dx, dy = (own.shape[3] - shape[3]) // 2, (own.shape[2] - shape[2]) // 2
    w = shape[3] if dx >= 0 else shape[3] + 2 * dx
    h = shape[2] if dy >= 0 else shape[2] + 2 * dy
    tx, ty = max(dx, 0), max(dy, 0)
    dx, dy = max(-dx, 0), max(-dy, 0)
    x[..., ty : ty + h, tx : tx + w] = noise[..., dy : dy + h, dx : dx + w]
    return x

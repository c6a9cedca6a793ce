"""What a UNet is given besides latents and timestep, by its architecture; needs no torch.

Conditions, and from ControlNets one residual for each skip connection, in the way down's order, and the middle's: Zhang
et al., "Adding Conditional Control to Text-to-Image Diffusion Models" (arXiv:2302.05543), figure 3.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from triptych.checkpoint import Architecture
from triptych.checkpoint.families.controlnet import count_residuals
from triptych.engine.port import Array

_STEM = "residual_"


def conditioning_dims(architecture: Architecture) -> Mapping[str, tuple[int | str, ...]]:
    """The tensors by name, with their dimensions without the batch; "tokens" is free.

    A UNet's configuration names the width of pooled vector and time ids together.
    """
    config, count = architecture.config, architecture.time_ids
    dims: dict[str, tuple[int | str, ...]] = {"encoder_hidden_states": ("tokens", config["cross_attention_dim"])}
    if config.get("addition_embed_type") == "text_time":
        pooled = config["projection_class_embeddings_input_dim"] - count * config["addition_time_embed_dim"]
        dims |= {"text_embeds": (pooled,), "time_ids": (count,)}
    return dims


def residual_names(architecture: Architecture) -> list[str]:
    """Of a ControlNet's outputs, and of the UNet's inputs that take them: "residual_0", ..., the middle's last."""
    return [f"{_STEM}{number}" for number in range(count_residuals(architecture))]


def has_residuals(names: Iterable[str]) -> bool:
    """Whether a UNet's inputs of these names are those under a ControlNet."""
    return any(name.startswith(_STEM) for name in names)


def added(residuals: Iterable[Mapping[str, Array]]) -> dict[str, Array]:
    """The sum of several ControlNets', by name."""
    first, *others = residuals
    total = dict(first)
    for other in others:
        total = {name: np.add(array, other[name]) for name, array in total.items()}
    return total

"""What stands beside a checkpoint's UNet and looks at a picture: ControlNets and T2I-Adapters."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from triptych.checkpoint.architecture import Architecture
from triptych.checkpoint.component import Component
from triptych.checkpoint.families.controlnet import misfit
from triptych.checkpoint.families.controlnet_union import union_types
from triptych.checkpoint.families.t2i_adapter import FULL_XL, adapter_misfit
from triptych.contract import CONTROLNET, T2I_ADAPTER

# Of every checkpoint of the families that they are for.
_PIXELS_A_LATENT = 8
_XL_LATENTS = (128, 128)


def controls(components: Mapping[str, Component]) -> bool:
    """Whether these are the parts of one."""
    return CONTROLNET in components or T2I_ADAPTER in components


def control_misfit(components: Mapping[str, Component], unet: Architecture) -> str:
    """What keeps one from standing beside a UNet; "" where nothing does."""
    if T2I_ADAPTER in components:
        return adapter_misfit(components[T2I_ADAPTER].architecture, unet, _PIXELS_A_LATENT)
    return misfit(components[CONTROLNET].architecture, unet)


def usually_sized(components: Mapping[str, Component]) -> Mapping[str, Component]:
    """The same for the latents that one is mostly used with, where no UNet says more: XL's are the largest."""
    configs = [part.architecture.config for part in components.values()]
    is_xl = any(each.get("addition_embed_type") or each.get("adapter_type") == FULL_XL for each in configs)
    if not (controls(components) and is_xl):
        return components
    return {model: replace(part, latent_size=_XL_LATENTS) for model, part in components.items()}


def control_union_types(components: Mapping[str, Component]) -> tuple[str, ...]:
    """Those of a union ControlNet, and none of any other."""
    return union_types(components[CONTROLNET].architecture) if CONTROLNET in components else ()


def pixels_together(components: Mapping[str, Component]) -> int:
    """Pixels each way that one takes for one, so that what is drawn must be a multiple of it."""
    return int(components[T2I_ADAPTER].architecture.config["downscale_factor"]) if T2I_ADAPTER in components else 1

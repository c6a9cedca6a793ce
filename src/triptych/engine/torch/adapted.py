"""T2I-Adapters by torch: diffusers' own, and the UNet that takes their features beside a ControlNet's residuals."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from triptych.checkpoint import Architecture
from triptych.engine.conditions import is_feature


class _Adapter(nn.Module):
    """T2IAdapter: image [B, C, H, W] in [0, 1] -> its features, the largest first."""

    def __init__(self, architecture: Architecture) -> None:
        from diffusers import T2IAdapter

        super().__init__()
        self.model = T2IAdapter(**architecture.config)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return tuple(self.model(image))


class _AdaptedUNet(nn.Module):
    """The UNet of `engine.modules`, which takes features too, in the order of `feature_names`; its parameters' names
    are that one's.
    """

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        self.model: Any = unet.model

    def forward(
        self,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        text_embeds: torch.Tensor | None = None,
        time_ids: torch.Tensor | None = None,
        **more: torch.Tensor,
    ) -> tuple[torch.Tensor]:
        added = None if text_embeds is None else {"text_embeds": text_embeds, "time_ids": time_ids}
        features = [tensor for name, tensor in more.items() if is_feature(name)]
        residuals = [tensor for name, tensor in more.items() if not is_feature(name)]
        given: dict[str, Any] = {}
        if features:
            given["down_intrablock_additional_residuals"] = features
        if residuals:
            *down, given["mid_block_additional_residual"] = residuals
            given["down_block_additional_residuals"] = tuple(down)
        prediction = self.model(
            latents, timestep, encoder_hidden_states, added_cond_kwargs=added, return_dict=False, **given
        )
        return (prediction[0],)


def build_adapter(architecture: Architecture) -> nn.Module:
    """In evaluation mode, its parameters on the meta device."""
    with torch.device("meta"):
        module = _Adapter(architecture)
    return module.eval().requires_grad_(False)


def taking_features(unet: nn.Module) -> nn.Module:
    """The same UNet, in evaluation mode."""
    return _AdaptedUNet(unet).eval()

"""diffusers' ControlNetUnionModel in two parts: what it makes of pictures, once, and its residuals, in every step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from triptych.checkpoint import Architecture
from triptych.checkpoint.families.controlnet_union import union_types
from triptych.contract import CONTROLNET, CONTROLNET_HINT


class _UnionHint(nn.Module):
    """What a union makes of a picture: image [B, 3, H, W] in [0, 1], control_type int64 [B], share [B] -> hint.

    `control_type` is the picture's, and `share` what it counts for among those of one sample: 1 where it is the only
    one. A sample's hint is the sum of its pictures'.
    """

    def __init__(self, architecture: Architecture) -> None:
        from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding
        from diffusers.models.controlnets.controlnet_union import ResidualAttentionBlock

        super().__init__()
        config = architecture.config
        width, layers = config["num_trans_channel"], range(config["num_trans_layer"])
        self.model: Any = nn.Module()
        self.model.controlnet_cond_embedding = ControlNetConditioningEmbedding(
            config["conditioning_embedding_channels"], config["conditioning_channels"], config["block_out_channels"]
        )
        self.model.task_embedding = nn.Parameter(torch.empty(config["num_control_type"], width))
        self.model.transformer_layes = nn.ModuleList(
            ResidualAttentionBlock(width, config["num_trans_head"]) for _ in layers
        )
        self.model.spatial_ch_projs = nn.Linear(width, config["num_proj_channel"])

    def forward(self, image: torch.Tensor, control_type: torch.Tensor, share: torch.Tensor) -> tuple[torch.Tensor]:
        condition = self.model.controlnet_cond_embedding(image)
        states = (condition.mean(dim=(2, 3)) + self.model.task_embedding[control_type]) * share[:, None]
        # diffusers' attention goes along the batch, in which all samples look at the same picture: each at copies of
        # itself. Here it goes along one, so that no sample can see another's.
        states = states[None]
        for layer in self.model.transformer_layes:
            states = layer(states)
        alpha = self.model.spatial_ch_projs(states[0])
        return ((condition + alpha[:, :, None, None]) * share[:, None, None, None],)


class _UnionNet(nn.Module):
    """ControlNetUnionModel without what makes its hint: inputs as of any ControlNet, and control_types -> residuals.

    `control_types` [B, types] are 1 for each that a sample's pictures are of, and else 0.
    """

    def __init__(self, architecture: Architecture) -> None:
        from diffusers import ControlNetUnionModel

        super().__init__()
        self.model = ControlNetUnionModel(**architecture.config)
        # To diffusers the hint is the only picture's, which is of the first type and passes through all this unchanged.
        self.model.controlnet_cond_embedding, self.model.transformer_layes = nn.Identity(), nn.ModuleList()
        self.model.spatial_ch_projs = _Nothing()
        del self.model.task_embedding
        self.model.task_embedding = [0.0]

    def forward(
        self,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        hint: torch.Tensor,
        control_types: torch.Tensor,
        scales: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        text_embeds: torch.Tensor,
        time_ids: torch.Tensor,
    ) -> tuple[torch.Tensor, ...]:
        added = {"text_embeds": text_embeds, "time_ids": time_ids}
        down, middle = self.model(
            latents, timestep, encoder_hidden_states, [hint], control_types, [0], 1.0,
            added_cond_kwargs=added, return_dict=False,
        )  # fmt: skip
        return tuple(residual * scales[:, place, None, None, None] for place, residual in enumerate([*down, middle]))


class _Nothing(nn.Module):
    """A number that adds nothing."""

    def forward(self, states: torch.Tensor) -> torch.Tensor:
        return states.new_zeros(())


MODULES: Mapping[str, Callable[[Architecture], nn.Module]] = {CONTROLNET: _UnionNet, CONTROLNET_HINT: _UnionHint}


def union_inputs(architecture: Architecture) -> dict[str, torch.Tensor]:
    """Of a union's part, to trace with, what it takes besides a ControlNet's; nothing of what is no union."""
    if architecture.model == CONTROLNET and (types := union_types(architecture)):
        return {"control_types": torch.zeros(2, len(types))}
    if architecture.class_name == "ControlNetUnionHint":
        return {"control_type": torch.zeros(2, dtype=torch.int64), "share": torch.ones(2)}
    return {}

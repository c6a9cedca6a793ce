"""Of a UNet's torch module a second one over the same parameters, which looks at a picture beside the text."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention


class Prompted(nn.Module):
    """Called as the UNet, with image_prompt [B, sides, tokens, widths] besides, as the contract has it.

    Another object, so that whoever runs, records or compiles the UNet meanwhile sees no change.
    """

    def __init__(self, unet: nn.Module, widths: Mapping[str, int]) -> None:
        """`widths` are of its cross-attentions, by name in the prompt's order."""
        super().__init__()
        tensors = (*unet.parameters(), *unet.buffers())
        twin: Any = copy.deepcopy(unet, {id(tensor): tensor for tensor in tensors})
        self._widths = list(widths.values())
        self._attentions = [_Attention() for _ in widths]
        for name, attention in zip(widths, self._attentions, strict=True):
            twin.model.get_submodule(name).set_processor(attention)
        self.unet = twin

    def forward(self, image_prompt: torch.Tensor, **inputs: torch.Tensor) -> Any:
        """What the UNet gives."""
        parts = [torch.split(side, self._widths, dim=-1) for side in torch.unbind(image_prompt, 1)]
        for attention, *sides in zip(self._attentions, *parts, strict=True):
            attention.pairs = list(zip(sides[::2], sides[1::2], strict=True))
        return self.unet(**inputs)


class _Attention:
    """As diffusers' IPAdapterAttnProcessor2_0, the pictures' `pairs` of keys and values being there already."""

    pairs: Sequence[tuple[torch.Tensor, torch.Tensor]] = ()

    def __call__(
        self, attn: Any, hidden_states: torch.Tensor, encoder_hidden_states: torch.Tensor, *_: Any, **__: Any
    ) -> torch.Tensor:
        text = encoder_hidden_states
        if attn.norm_cross:
            text = attn.norm_encoder_hidden_states(text)
        query = _by_head(attn, attn.to_q(hidden_states))
        total = torch.zeros_like(query)
        for key, value in ((attn.to_k(text), attn.to_v(text)), *self.pairs):
            total = total + scaled_dot_product_attention(query, _by_head(attn, key), _by_head(attn, value))
        states: torch.Tensor = attn.to_out[0](torch.flatten(total.transpose(1, 2), 2))
        return states


def _by_head(attn: Any, states: torch.Tensor) -> torch.Tensor:
    """[B, heads, tokens, d] of [B, tokens, heads * d]."""
    return states.reshape(*states.shape[:2], attn.heads, -1).transpose(1, 2)

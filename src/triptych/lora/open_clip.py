"""A text encoder's layers as OpenCLIP calls them, and the original implementations of SD 2.x and XL with it."""

from __future__ import annotations

import re

from triptych.lora.wrappers import readings

_PLAIN = {
    "embeddings.token_embedding": "token_embedding",
    "embeddings.position_embedding": "positional_embedding",
    "final_layer_norm": "ln_final",
}
_IN_LAYER = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
    "self_attn.out_proj": "attn.out_proj",
}
_LAYER = re.compile(r"encoder\.layers\.(\d{1,3})\.(.+)")
# One matrix of three, which none of the layers here is.
_FUSED = re.compile(r"resblocks_\d{1,3}_attn_in_proj(_|$)")
# No layer there but a matrix that stands on the other side of the product.
_TURNED = re.compile(r"(?:^|[._])(?:embedders[._]\d{1,3}|cond_stage_model)[._]model[._]text_projection(?:[._]|$)")


def open_clip_name(layer: str) -> str | None:
    """OpenCLIP's name of transformers' `layer`, or None if it has no layer like it; "transformer." may stand before."""
    if match := _LAYER.fullmatch(layer):
        within = _IN_LAYER.get(match[2])
        return f"resblocks.{match[1]}.{within}" if within else None
    return _PLAIN.get(layer)


def is_fused(name: str) -> bool:
    """Whether a module's or a tensor's name is that of OpenCLIP's queries, keys and values in one."""
    return any(_FUSED.match(rest) for _, rest in readings(name))


def is_turned(name: str) -> bool:
    """Whether it is that of OpenCLIP's projection: the transpose of the one here, which a square does not show."""
    return _TURNED.search(name) is not None

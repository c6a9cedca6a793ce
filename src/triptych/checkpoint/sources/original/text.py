"""The text encoders of the original implementation, OpenAI's in transformers' own layout and OpenCLIP's in its own."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from triptych.checkpoint.configs import broken
from triptych.checkpoint.safetensors import TensorInfo
from triptych.checkpoint.sources.original.kinds import TextEncoder
from triptych.checkpoint.sources.original.tensors import Tensors
from triptych.checkpoint.weights import canonical_name

# That all of CLIP's text encoders have.
_CHANNELS_PER_HEAD = 64
# What the classes take for "the token with the highest id", which the end of a text is.
_END = 2
_LAYER = re.compile(r"transformer\.resblocks\.(\d{1,3})\.(.+)")
_IN_LAYER = {
    "ln_1": "layer_norm1",
    "ln_2": "layer_norm2",
    "mlp.c_fc": "mlp.fc1",
    "mlp.c_proj": "mlp.fc2",
    "attn.out_proj": "self_attn.out_proj",
}
_FUSED = re.compile(r"attn\.in_proj_(weight|bias)")
_PLAIN = {
    "positional_embedding": "embeddings.position_embedding.weight",
    "token_embedding.weight": "embeddings.token_embedding.weight",
    "ln_final.weight": "final_layer_norm.weight",
    "ln_final.bias": "final_layer_norm.bias",
    "text_projection.weight": "text_projection.weight",
}


class Text:
    """One text encoder's tensors, brought under transformers' names; queries, keys and values may be rows of one."""

    def __init__(self, kind: TextEncoder, tensors: Tensors) -> None:
        self._kind = kind
        if kind.is_open_clip:
            weights = dict(pair for name, info in tensors.by_name.items() for pair in _named(tensors, name, info))
        else:
            weights = {canonical_name(kind.class_name, name): info for name, info in tensors.by_name.items()}
        self._named = Tensors(tensors.file, tensors.prefix, weights)

    @property
    def weights(self) -> dict[str, TensorInfo]:
        """Those that the class has."""
        spare = (f"encoder.layers.{self._layers()}.", *(() if self._has_projection else ("text_projection.",)))
        return {name: info for name, info in self._named.by_name.items() if not name.startswith(spare)}

    def config(self) -> dict[str, Any]:
        """As transformers writes it."""
        shape = self._named.shape
        vocabulary, hidden = shape("embeddings.token_embedding.weight", 2)
        return {
            "vocab_size": vocabulary,
            "hidden_size": hidden,
            "intermediate_size": shape("encoder.layers.0.mlp.fc1.weight", 2)[0],
            "num_hidden_layers": self._layers(),
            "num_attention_heads": max(1, hidden // _CHANNELS_PER_HEAD),
            "max_position_embeddings": shape("embeddings.position_embedding.weight", 2)[0],
            "hidden_act": self._kind.activation,
            "eos_token_id": _END,
        } | ({"projection_dim": shape("text_projection.weight", 2)[0]} if self._has_projection else {})

    @property
    def _has_projection(self) -> bool:
        return self._kind.class_name == "CLIPTextModelWithProjection"

    def _layers(self) -> int:
        """OpenCLIP's models have an even number: one that was in diffusers before lacks the last one already."""
        layers = self._named.several("encoder.layers.{}.mlp.fc1.weight")
        return layers - 1 if self._kind.skips_last and layers % 2 == 0 else layers


def _named(tensors: Tensors, name: str, info: TensorInfo) -> Iterator[tuple[str, TensorInfo]]:
    match = _LAYER.fullmatch(name)
    if name in _PLAIN:
        yield _PLAIN[name], info
    elif name == "text_projection":
        tensors.shape(name, 2)
        yield "text_projection.weight", info.turned()
    elif match and (fused := _FUSED.fullmatch(match[2])):
        rows = tensors.shape(name)[0]
        if rows % 3:
            raise broken(tensors.file, f"{tensors.prefix}{name} has {rows} rows, which are not three parts")
        for part, which in enumerate(("q_proj", "k_proj", "v_proj")):
            own = info.rows(part * rows // 3, (part + 1) * rows // 3)
            yield f"encoder.layers.{match[1]}.self_attn.{which}.{fused[1]}", own
    elif match:
        module, _, parameter = match[2].rpartition(".")
        yield f"encoder.layers.{match[1]}.{_IN_LAYER.get(module, module)}.{parameter}", info

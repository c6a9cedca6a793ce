"""What a UNet is conditioned on besides latents and timestep, by its architecture; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping

from triptych.checkpoint import Architecture


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

"""What a UNet is conditioned on besides latents and timestep, by its architecture; needs no torch."""

from __future__ import annotations

from collections.abc import Mapping

from triptych.checkpoint import Architecture

# Height and width of three sizes, one for each: original, crop, target. A UNet's configuration names only the width of
# what they and the pooled vector come to together.
TIME_IDS = 6


def conditioning_dims(architecture: Architecture) -> Mapping[str, tuple[int | str, ...]]:
    """The tensors by name, with their dimensions without the batch; "tokens" is free."""
    config = architecture.config
    dims: dict[str, tuple[int | str, ...]] = {"encoder_hidden_states": ("tokens", config["cross_attention_dim"])}
    if config.get("addition_embed_type") == "text_time":
        pooled = config["projection_class_embeddings_input_dim"] - TIME_IDS * config["addition_time_embed_dim"]
        dims |= {"text_embeds": (pooled,), "time_ids": (TIME_IDS,)}
    return dims

"""What a family's components must agree in, with their own weights and with each other; each error names its file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from triptych.checkpoint.component import Component, LatentScaling, Part
from triptych.checkpoint.configs import broken, channel_list, whole_number
from triptych.checkpoint.editing import editing
from triptych.checkpoint.sources import Told

# Inputs that a UNet may want, and that only requests to some families bring.
CONDITION_KEYS = (
    "addition_embed_type",
    "class_embed_type",
    "encoder_hid_dim",
    "encoder_hid_dim_type",
    "num_class_embeds",
    "time_cond_proj_dim",
)
_LEAST = {"scaling_factor": 1e-6, "shift_factor": 0}
_MOST_SCALING = 1e6


def check_optional(index: Told, parts: Mapping[str, Part], optional: Iterable[str]) -> None:
    """What its family has and a checkpoint may lack, where it must be there."""
    for model in optional:
        if model not in parts or index.values.get(parts[model].folder) in (None, [None, None]):
            problem = f"it has no {model}, which this server wants of every checkpoint that draws"
            raise broken(index.file, f"{problem}; register one that has it, or start the server without that demand")


def check_vae(decoder: Component, encoder: Component) -> None:
    """Both halves of one AutoencoderKL, which have their configuration in common."""
    path, config = decoder.file, decoder.architecture.config
    latent_channels = whole_number(path, config, "latent_channels", high=256)
    channels = channel_list(path, config)
    for key in ("in_channels", "out_channels"):
        if whole_number(path, config, key, high=16) != 3:
            raise broken(path, f"{key} must be 3 (RGB)")
    for key, least in _LEAST.items():
        value = decoder.config.get(key)
        if value is not None and (type(value) not in (int, float) or not least <= abs(value) <= _MOST_SCALING):
            raise broken(path, f"{key} must be a number, not {value!r}")
    conv_in = (channels[-1], latent_channels, 3, 3)
    decoder.expect_shape("decoder.conv_in.weight", conv_in, "latent_channels", "block_out_channels")
    decoder.expect_shape("decoder.conv_out.weight", (3, channels[0], 3, 3), "out_channels", "block_out_channels")
    encoder.expect_shape("encoder.conv_in.weight", (channels[0], 3, 3, 3), "in_channels", "block_out_channels")
    conv_out = (2 * latent_channels, channels[-1], 3, 3)
    encoder.expect_shape("encoder.conv_out.weight", conv_out, "latent_channels", "block_out_channels")


def latent_scaling(vae: Component, *, normalizes: bool) -> LatentScaling:
    """By the VAE's configuration, in a family whose pipeline `normalizes` latents or does not."""
    factor = float(vae.config.get("scaling_factor") or LatentScaling.factor)
    mean, std = (_by_channel(vae, key) for key in ("latents_mean", "latents_std"))
    return LatentScaling(factor, mean, std) if normalizes and mean and std else LatentScaling(factor)


def _by_channel(vae: Component, key: str) -> tuple[float, ...]:
    """One number for each channel of the latents, or none."""
    value: Any = vae.config.get(key)
    if value is None:
        return ()
    channels = vae.architecture.config["latent_channels"]
    is_list = isinstance(value, list) and len(value) == channels and all(type(each) in (int, float) for each in value)
    least = _LEAST["scaling_factor"] if key == "latents_std" else 0
    if not is_list or not all(least <= abs(each) <= _MOST_SCALING for each in value):
        raise broken(vae.file, f"{key} must be {channels} numbers, one for each channel of the latents")
    return tuple(float(each) for each in value)


def check_unet(unet: Component, latent_channels: int, conditions: Collection[str] = ()) -> None:
    """A UNet that takes latents, text and the `conditions` among CONDITION_KEYS that its family brings.

    One that edits pictures takes their latents too, and perhaps a mask.
    """
    path, config = unet.file, unet.architecture.config
    channels = channel_list(path, config)
    for key in CONDITION_KEYS:
        if key not in conditions and unet.config.get(key) is not None:
            raise broken(path, f"{key}={unet.config[key]!r} belongs to a family that is not supported")
    if unet.config.get("num_attention_heads") is not None:
        raise broken(path, "num_attention_heads must be null: diffusers takes attention_head_dim for that count")
    in_channels = whole_number(path, config, "in_channels", high=256)
    out_channels = whole_number(path, config, "out_channels", high=256)
    is_known = in_channels == latent_channels or editing(unet.architecture, latent_channels)
    if not is_known or out_channels != latent_channels:
        problem = f"in_channels {in_channels} and out_channels {out_channels} must be the VAE's {latent_channels}"
        if in_channels > latent_channels:
            problem += "; this one draws from something besides that no request brings, depth say"
        raise broken(path, problem + unet.assumed("in_channels", "out_channels"))
    kernel = whole_number(path, config, "conv_in_kernel", high=15)
    conv_in = (channels[0], in_channels, kernel, kernel)
    unet.expect_shape("conv_in.weight", conv_in, "block_out_channels", "in_channels", "conv_in_kernel")


def check_encoder(encoder: Component) -> None:
    """A text encoder of CLIP's."""
    path, config = encoder.file, encoder.architecture.config
    if encoder.config.get("use_attention_mask"):
        raise broken(path, "use_attention_mask is not supported for this family")
    tokens = whole_number(path, config, "max_position_embeddings", low=3, high=4096)
    hidden = whole_number(path, config, "hidden_size", high=65536)
    vocabulary = whole_number(path, config, "vocab_size", high=1 << 24)
    encoder.expect_shape("embeddings.token_embedding.weight", (vocabulary, hidden), "vocab_size", "hidden_size")
    encoder.expect_shape(
        "embeddings.position_embedding.weight", (tokens, hidden), "max_position_embeddings", "hidden_size"
    )
    intermediate = config["intermediate_size"]
    encoder.expect_shape("encoder.layers.0.mlp.fc1.weight", (intermediate, hidden), "intermediate_size", "hidden_size")


def check_safety_checker(checker: Component) -> None:
    """One of CLIP's vision models, and an extractor that makes pictures of its size."""
    path, config = checker.file, checker.architecture.config
    hidden = whole_number(path, config, "hidden_size", high=65536)
    projection = whole_number(path, config, "projection_dim", high=65536)
    extent = whole_number(path, config, "image_size", high=4096)
    patch = whole_number(path, config, "patch_size", high=extent)
    if config["num_channels"] != 3:
        raise broken(path, "num_channels must be 3 (RGB)")
    checker.expect_shape("visual_projection.weight", (projection, hidden), "projection_dim", "hidden_size")
    places = ((extent // patch) ** 2 + 1, hidden)
    checker.expect_shape(
        "vision_model.embeddings.position_embedding.weight", places, "image_size", "patch_size", "hidden_size"
    )
    if checker.extractor and not checker.extractor.makes(extent):
        raise broken(path, f"image_size {extent} is not what the feature_extractor makes, by its crop_size or size")


def check_cross_attention(unet: Component, encoders: Sequence[Component]) -> None:
    """The UNet looks at the hidden states of all encoders side by side, which are equally many."""
    tokens = [encoder.architecture.config["max_position_embeddings"] for encoder in encoders]
    for encoder, count in zip(encoders, tokens, strict=True):
        if count != tokens[0]:
            problem = f"max_position_embeddings {count} must be {encoders[0].name}'s {tokens[0]}"
            raise broken(encoder.file, problem + encoder.assumed("max_position_embeddings"))
    widths = [encoder.architecture.config["hidden_size"] for encoder in encoders]
    wide = unet.architecture.config["cross_attention_dim"]
    if wide != sum(widths):
        whose = " plus ".join(
            f"{encoder.name}'s hidden_size {width}" for encoder, width in zip(encoders, widths, strict=True)
        )
        raise broken(unet.file, f"cross_attention_dim {wide!r} must be {whose}{unet.assumed('cross_attention_dim')}")


def check_projection(encoder: Component) -> int:
    """A text encoder with a projection; the numbers of its pooled vector."""
    config = encoder.architecture.config
    projection = whole_number(encoder.file, config, "projection_dim", high=65536)
    encoder.expect_shape("text_projection.weight", (projection, config["hidden_size"]), "projection_dim", "hidden_size")
    return projection


def check_told(unet: Component, pooled: int) -> None:
    """A UNet that is told a pooled vector, of so many numbers, and of the picture."""
    path, config, count = unet.file, unet.architecture.config, unet.architecture.time_ids
    if (kind := config.get("addition_embed_type")) != "text_time":
        raise broken(path, f"addition_embed_type must be 'text_time', not {kind!r}")
    each = whole_number(path, config, "addition_time_embed_dim", high=65536)
    inputs = whole_number(path, config, "projection_class_embeddings_input_dim")
    if inputs != (expected := pooled + count * each):
        why = f"text_encoder_2's projection_dim {pooled} plus {count} times addition_time_embed_dim {each}"
        raise broken(path, f"projection_class_embeddings_input_dim {inputs} must be {expected}: {why}")
    embedded = config.get("time_embedding_dim") or 4 * config["block_out_channels"][0]
    unet.expect_shape("add_embedding.linear_1.weight", (embedded, inputs), "block_out_channels")

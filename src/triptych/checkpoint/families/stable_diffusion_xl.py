"""Stable Diffusion XL base: two text encoders, the second one's pooled vector, and the sizes that a picture is told.

The UNet's conditions follow Podell et al., "SDXL" (arXiv:2307.01952, section 2.2), in diffusers' order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from triptych.checkpoint.checks import check_cross_attention, check_encoder, check_unet, check_vae
from triptych.checkpoint.component import Component, Part
from triptych.checkpoint.configs import broken, whole_number
from triptych.checkpoint.families.base import Family, Pair, TextPart, TimeIds, pipelines_for
from triptych.contract import ENCODER, ENCODER_2, TIME_IDS, UNET, VAE_DECODER, VAE_ENCODER

_CROP = "crops_coords_top_left"
_SIZES = ("original_size", _CROP, "target_size")


def _check(components: Mapping[str, Component]) -> None:
    encoder, encoder_2 = components[ENCODER.name], components[ENCODER_2.name]
    unet, vae = components[UNET.name], components[VAE_DECODER.name]
    check_vae(vae, components[VAE_ENCODER.name])
    check_unet(unet, vae.architecture.config["latent_channels"], conditions=("addition_embed_type",))
    check_encoder(encoder)
    check_encoder(encoder_2)
    check_cross_attention(unet, [encoder, encoder_2])
    _check_conditions(unet, _projected(encoder_2))


def _projected(encoder: Component) -> int:
    """Numbers of the pooled vector."""
    config = encoder.architecture.config
    projection = whole_number(encoder.file, config, "projection_dim", high=65536)
    encoder.expect_shape("text_projection.weight", (projection, config["hidden_size"]), "projection_dim", "hidden_size")
    return projection


def _check_conditions(unet: Component, pooled: int) -> None:
    path, config = unet.file, unet.architecture.config
    if (kind := config.get("addition_embed_type")) != "text_time":
        raise broken(path, f"addition_embed_type must be 'text_time', not {kind!r}")
    each = whole_number(path, config, "addition_time_embed_dim", high=65536)
    inputs = whole_number(path, config, "projection_class_embeddings_input_dim")
    if inputs != (expected := pooled + TIME_IDS * each):
        why = f"text_encoder_2's projection_dim {pooled} plus {TIME_IDS} times addition_time_embed_dim {each}"
        raise broken(path, f"projection_class_embeddings_input_dim {inputs} must be {expected}: {why}")
    embedded = config.get("time_embedding_dim") or 4 * config["block_out_channels"][0]
    unet.expect_shape("add_embedding.linear_1.weight", (embedded, inputs), "block_out_channels")


def _unserved(index: Mapping[str, Any]) -> str:
    """The refiner has the second text encoder alone, and is told how beautiful the picture is to be."""
    first = index.get("text_encoder")
    if index.get("requires_aesthetics_score") or first == [None, None]:
        return "a refiner, which finishes what a base checkpoint began, and not supported; serve a base checkpoint"
    return ""


def _time_ids(asked: Mapping[str, Pair], height: int, width: int, begins_with_image: bool) -> TimeIds:
    """Without negative sizes the negative ids are the positive ones; what one alone means, the two pipelines differ in.

    The one for text takes the original and the target size together or not at all. The one for images takes each that
    is given, and never a negative crop.
    """
    defaults = dict(zip(_SIZES, ((height, width), (0, 0), (height, width)), strict=True))
    sizes = {field: asked.get(field, defaults[field]) for field in _SIZES}
    given = {field: pair for field in _SIZES if (pair := asked.get(f"negative_{field}")) is not None}
    negative, why = {}, "without both of negative_original_size and negative_target_size"
    if begins_with_image:
        negative, why = {field: pair for field, pair in given.items() if field != _CROP}, "with an image"
    elif {"original_size", "target_size"} <= given.keys():
        negative = {_CROP: (0, 0)} | given
    warnings = tuple(f"negative_{field} has no effect {why}" for field in given if field not in negative)
    return TimeIds(_flat(sizes), _flat(sizes | negative), warnings)


def _flat(sizes: Mapping[str, Pair]) -> tuple[float, ...]:
    return tuple(float(extent) for field in _SIZES for extent in sizes[field])


def _zeroes_negative(index: Mapping[str, Any]) -> bool:
    return bool(index.get("force_zeros_for_empty_prompt", True))


STABLE_DIFFUSION_XL = Family(
    name="stable-diffusion-xl",
    title="Stable Diffusion XL base",
    pipelines=pipelines_for("StableDiffusionXL"),
    parts={
        ENCODER.name: Part("text_encoder", "CLIPTextModel"),
        ENCODER_2.name: Part("text_encoder_2", "CLIPTextModelWithProjection"),
        UNET.name: Part("unet", "UNet2DConditionModel"),
        VAE_DECODER.name: Part("vae", "AutoencoderKL", ("decoder.", "post_quant_conv.")),
        VAE_ENCODER.name: Part("vae", "AutoencoderKL", ("encoder.", "quant_conv."), on_demand=True),
    },
    # diffusers takes the layer before the last one, as it was trained, and leaves the final norm out.
    texts=(
        TextPart(ENCODER.name, "tokenizer", "prompt", "negative_prompt", skip_layers=1, final_norm=False),
        TextPart(
            ENCODER_2.name,
            "tokenizer_2",
            "prompt_2",
            "negative_prompt_2",
            skip_layers=1,
            final_norm=False,
            gives_pooled=True,
        ),
    ),
    fields=frozenset(
        {"prompt_2", "negative_prompt_2", "clip_skip", "guidance_rescale", *_SIZES}
        | {f"negative_{field}" for field in _SIZES}
    ),
    check=_check,
    strength=0.3,
    default_guidance_scale=5.0,
    upcasts_vae=True,
    normalizes_latents=True,
    unserved=_unserved,
    time_ids=_time_ids,
    zeroes_negative=_zeroes_negative,
)

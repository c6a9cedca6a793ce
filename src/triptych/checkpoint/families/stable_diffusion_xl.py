"""Stable Diffusion XL base: two text encoders, the second one's pooled vector, and the sizes that a picture is told.

The UNet's conditions follow Podell et al., "SDXL" (arXiv:2307.01952, section 2.2), in diffusers' order.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from triptych.checkpoint.checks import (
    check_cross_attention,
    check_encoder,
    check_projection,
    check_told,
    check_unet,
    check_vae,
)
from triptych.checkpoint.component import Component, Part
from triptych.checkpoint.families.base import (
    UNION_TASKS,
    Family,
    MicroConditions,
    TextPart,
    TimeIds,
    flat,
    pipelines_for,
)
from triptych.contract import ENCODER, ENCODER_2, UNET, VAE_DECODER, VAE_ENCODER

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
    check_told(unet, check_projection(encoder_2))


def is_refiner(index: Mapping[str, Any]) -> bool:
    """Whether a checkpoint with one of XL's pipelines has the second text encoder alone, and is told a score."""
    return bool(index.get("requires_aesthetics_score")) or index.get("text_encoder") == [None, None]


def _time_ids(asked: MicroConditions, height: int, width: int, begins_with_image: bool) -> TimeIds:
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
    idle = {f"negative_{field}": why for field in given if field not in negative}
    return TimeIds(flat(sizes), flat(sizes | negative), idle)


def zeroes_negative(index: Mapping[str, Any]) -> bool:
    """As diffusers' pipelines, where a checkpoint does not say."""
    return bool(index.get("force_zeros_for_empty_prompt", True))


STABLE_DIFFUSION_XL = Family(
    name="stable-diffusion-xl",
    title="Stable Diffusion XL base",
    pipelines=pipelines_for("StableDiffusionXL", *UNION_TASKS),
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
        {"prompt_2", "negative_prompt_2", "clip_skip", "guidance_rescale", "refiner", "refiner_start", *_SIZES}
        | {f"negative_{field}" for field in _SIZES}
    ),
    check=_check,
    strength=0.3,
    inpaint_strength=0.9999,
    default_guidance_scale=5.0,
    upcasts_vae=True,
    normalizes_latents=True,
    refiners=frozenset({"stable-diffusion-xl", "stable-diffusion-xl-refiner"}),
    is_one=lambda index: not is_refiner(index),
    time_ids=_time_ids,
    zeroes_negative=zeroes_negative,
)

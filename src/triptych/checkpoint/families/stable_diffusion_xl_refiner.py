"""Stable Diffusion XL's refiner: the second text encoder alone, and a score of how beautiful the picture is to be."""

from __future__ import annotations

from collections.abc import Mapping

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
from triptych.checkpoint.families.stable_diffusion_xl import is_refiner, zeroes_negative
from triptych.contract import ENCODER_2, UNET, VAE_DECODER, VAE_ENCODER

_TOLD = ("original_size", "crops_coords_top_left", "aesthetic_score")


def _check(components: Mapping[str, Component]) -> None:
    encoder, unet, vae = components[ENCODER_2.name], components[UNET.name], components[VAE_DECODER.name]
    check_vae(vae, components[VAE_ENCODER.name])
    check_unet(unet, vae.architecture.config["latent_channels"], conditions=("addition_embed_type",))
    check_encoder(encoder)
    check_cross_attention(unet, [encoder])
    check_told(unet, check_projection(encoder))


def _time_ids(asked: MicroConditions, height: int, width: int, begins_with_image: bool) -> TimeIds:
    """As StableDiffusionXLImg2ImgPipeline: of the negative ones only the size is the positive one's where not given."""
    defaults = dict(zip(_TOLD, ((height, width), (0, 0), (6.0,)), strict=True))
    told = {field: asked.get(field, defaults[field]) for field in _TOLD}
    defaults |= {"original_size": told["original_size"], "aesthetic_score": (2.5,)}
    negative = {field: asked.get(f"negative_{field}", defaults[field]) for field in _TOLD}
    return TimeIds(flat(told), flat(negative))


STABLE_DIFFUSION_XL_REFINER = Family(
    name="stable-diffusion-xl-refiner",
    title="Stable Diffusion XL refiner",
    pipelines=tuple(sorted(pipelines_for("StableDiffusionXL", *UNION_TASKS), key=lambda name: "Img2Img" not in name)),
    parts={
        ENCODER_2.name: Part("text_encoder_2", "CLIPTextModelWithProjection"),
        UNET.name: Part("unet", "UNet2DConditionModel", time_ids=5),
        VAE_DECODER.name: Part("vae", "AutoencoderKL", ("decoder.", "post_quant_conv.")),
        VAE_ENCODER.name: Part("vae", "AutoencoderKL", ("encoder.", "quant_conv."), on_demand=True),
    },
    # It reads the prompt itself, as diffusers has it, and never the second one.
    texts=(
        TextPart(
            ENCODER_2.name,
            "tokenizer_2",
            "prompt",
            "negative_prompt",
            skip_layers=1,
            final_norm=False,
            gives_pooled=True,
        ),
    ),
    fields=frozenset({"clip_skip", "guidance_rescale", *_TOLD} | {f"negative_{field}" for field in _TOLD}),
    check=_check,
    strength=0.3,
    inpaint_strength=0.9999,
    default_guidance_scale=5.0,
    upcasts_vae=True,
    normalizes_latents=True,
    needs_image=True,
    is_one=is_refiner,
    time_ids=_time_ids,
    zeroes_negative=zeroes_negative,
)

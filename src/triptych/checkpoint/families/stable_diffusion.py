"""Stable Diffusion 1.x and 2.x: one text encoder; what tells them apart stands in their configurations."""

from __future__ import annotations

from collections.abc import Mapping

from triptych.checkpoint.checks import (
    check_cross_attention,
    check_encoder,
    check_safety_checker,
    check_unet,
    check_vae,
)
from triptych.checkpoint.component import Component, Part
from triptych.checkpoint.corrections import trained_sample_size
from triptych.checkpoint.families.base import Family, TextPart, pipelines_for
from triptych.contract import ENCODER, SAFETY_CHECKER, UNET, VAE_DECODER, VAE_ENCODER


def _check(components: Mapping[str, Component]) -> None:
    encoder, unet, vae = (components[spec.name] for spec in (ENCODER, UNET, VAE_DECODER))
    check_vae(vae, components[VAE_ENCODER.name])
    check_unet(unet, vae.architecture.config["latent_channels"])
    check_encoder(encoder)
    check_cross_attention(unet, [encoder])
    if SAFETY_CHECKER.name in components:
        check_safety_checker(components[SAFETY_CHECKER.name])


def _scheduler_config(config: Mapping[str, object], is_own: bool) -> dict[str, object]:
    """StableDiffusionPipeline sets `steps_offset` to 1 and `clip_sample` to False as it is loaded.

    `from_config` to another class carries that over only where the file had the key.
    """
    corrected = dict(config)
    if is_own or "steps_offset" in corrected:
        corrected["steps_offset"] = 1
    if is_own or corrected.get("clip_sample") is True:
        corrected["clip_sample"] = False
    return corrected


STABLE_DIFFUSION = Family(
    name="stable-diffusion",
    title="Stable Diffusion 1.x and 2.x",
    pipelines=(*pipelines_for("StableDiffusion"), "StableDiffusionInpaintPipelineLegacy"),
    parts={
        ENCODER.name: Part("text_encoder", "CLIPTextModel"),
        UNET.name: Part("unet", "UNet2DConditionModel"),
        VAE_DECODER.name: Part("vae", "AutoencoderKL", ("decoder.", "post_quant_conv.")),
        VAE_ENCODER.name: Part("vae", "AutoencoderKL", ("encoder.", "quant_conv."), on_demand=True),
        SAFETY_CHECKER.name: Part(
            "safety_checker",
            "StableDiffusionSafetyChecker",
            on_demand=True,
            optional=True,
            extractor="feature_extractor",
        ),
    },
    texts=(TextPart(ENCODER.name, "tokenizer", "prompt", "negative_prompt"),),
    fields=frozenset({"clip_skip", "guidance_rescale"}),
    check=_check,
    sample_size=trained_sample_size,
    scheduler_config=_scheduler_config,
)

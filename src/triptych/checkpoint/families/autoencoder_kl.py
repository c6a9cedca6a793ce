"""A VAE alone, which draws nothing by itself: checkpoints that have its kind of latents may decode with it."""

from __future__ import annotations

from collections.abc import Mapping

from triptych.checkpoint.checks import check_vae, latent_scaling
from triptych.checkpoint.component import Component, Part
from triptych.checkpoint.families.base import Family
from triptych.contract import VAE_DECODER, VAE_ENCODER


def _check(components: Mapping[str, Component]) -> None:
    check_vae(components[VAE_DECODER.name], components[VAE_ENCODER.name])
    latent_scaling(components[VAE_DECODER.name], normalizes=True)


AUTOENCODER_KL = Family(
    name="autoencoder-kl",
    title="a VAE alone",
    pipelines=("AutoencoderKL",),
    parts={
        VAE_DECODER.name: Part("vae", "AutoencoderKL", ("decoder.", "post_quant_conv.")),
        VAE_ENCODER.name: Part("vae", "AutoencoderKL", ("encoder.", "quant_conv."), on_demand=True),
    },
    texts=(),
    fields=frozenset(),
    check=_check,
    upcasts_vae=True,
)

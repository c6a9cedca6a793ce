"""Each architecture as a torch module with the contract's inputs and outputs; needs torch and diffusers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from triptych.checkpoint import Architecture

# Triton's batches stay below the 64 samples at which diffusers' upsampling takes another path.
_MAX_BATCH = 63
_MAX_LATENT_EXTENT = 4096
# Of SDXL's time_ids: original size, crop, target size.
_TIME_IDS = 6


class _Encoder(nn.Module):
    """CLIPTextModel: input_ids int64 [B, tokens] -> hidden_states [B, tokens, hidden], the last layer's, normalised."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        from transformers import CLIPTextConfig, CLIPTextModel

        super().__init__()
        # Special tokens shape only the pooled output, which is not asked for.
        special = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
        self.model = CLIPTextModel(CLIPTextConfig(**config, **special))

    def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
        states: torch.Tensor = self.model(input_ids=input_ids).last_hidden_state
        return states


class _UNet(nn.Module):
    """UNet2DConditionModel: latents [B, C, h, w], timestep [B], encoder_hidden_states -> noise_pred [B, C, h, w]."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        from diffusers import UNet2DConditionModel

        super().__init__()
        self.model = UNet2DConditionModel(**config)
        # Above this count of upsamplers no extent divides evenly, so that every resize takes its size from the skip
        # connection: one graph is then right for all sizes, and for even ones equal to doubling.
        self.model.num_upsamplers = 20

    def forward(
        self, latents: torch.Tensor, timestep: torch.Tensor, encoder_hidden_states: torch.Tensor
    ) -> torch.Tensor:
        prediction: torch.Tensor = self.model(latents, timestep, encoder_hidden_states, return_dict=False)[0]
        return prediction


class _ConditionedUNet(_UNet):
    """SDXL's: besides, text_embeds [B, pooled] and time_ids [B, 6], diffusers' added_cond_kwargs."""

    def forward(  # type: ignore[override]
        self,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        text_embeds: torch.Tensor,
        time_ids: torch.Tensor,
    ) -> torch.Tensor:
        conditions = {"text_embeds": text_embeds, "time_ids": time_ids}
        prediction: torch.Tensor = self.model(
            latents, timestep, encoder_hidden_states, added_cond_kwargs=conditions, return_dict=False
        )[0]
        return prediction


class _VaeDecoder(nn.Module):
    """AutoencoderKL's decoder: latents [B, C, h, w], already unscaled -> image [B, 3, H, W], nominally in [-1, 1]."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        from diffusers import AutoencoderKL

        super().__init__()
        self.model = AutoencoderKL(**config)
        del self.model.encoder, self.model.quant_conv

    def forward(self, latents: torch.Tensor) -> torch.Tensor:
        if self.model.post_quant_conv is not None:
            latents = self.model.post_quant_conv(latents)
        image: torch.Tensor = self.model.decoder(latents)
        return image


class _VaeEncoder(nn.Module):
    """AutoencoderKL's encoder: image [B, 3, H, W] in [-1, 1] -> moments [B, 2 C, h, w], means, then log variances."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        from diffusers import AutoencoderKL

        super().__init__()
        self.model = AutoencoderKL(**config)
        del self.model.decoder, self.model.post_quant_conv

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        moments: torch.Tensor = self.model.encoder(image)
        return moments if self.model.quant_conv is None else self.model.quant_conv(moments)


_MODULES: dict[str, type[nn.Module]] = {
    "encoder": _Encoder,
    "unet": _UNet,
    "vae_decoder": _VaeDecoder,
    "vae_encoder": _VaeEncoder,
}
OUTPUT_NAMES = {"encoder": "hidden_states", "unet": "noise_pred", "vae_decoder": "image", "vae_encoder": "moments"}


def _module_class(architecture: Architecture) -> type[nn.Module]:
    return _ConditionedUNet if _is_conditioned(architecture) else _MODULES[architecture.model]


def _is_conditioned(architecture: Architecture) -> bool:
    return architecture.config.get("addition_embed_type") == "text_time"


def build_module(architecture: Architecture) -> nn.Module:
    """The architecture in evaluation mode, its parameters on the meta device: known in shape, nowhere in memory."""
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")
        module = _module_class(architecture)(architecture.config)
    for name, buffer in list(module.named_buffers()):
        owner, _, attribute = name.rpartition(".")
        if attribute != "position_ids":
            raise RuntimeError(f"{architecture.class_name} has a buffer {name} whose content is not known here")
        positions = torch.arange(buffer.shape[-1]).expand(buffer.shape).clone()
        module.get_submodule(owner).register_buffer(attribute, positions, persistent=False)
    return module.eval().requires_grad_(False)


def parameter_names(module: nn.Module) -> dict[str, str]:
    """From the module's parameter names to the checkpoint's own."""
    return {name: name.removeprefix("model.") for name, _ in module.named_parameters()}


def example_inputs(architecture: Architecture) -> tuple[dict[str, torch.Tensor], dict[str, dict[int, Any]]]:
    """Arguments to trace with and the dimensions that stay free: batch everywhere, height and width of a picture."""
    dim = torch.export.Dim
    batch = dim("batch", min=1, max=_MAX_BATCH)
    config = architecture.config
    if architecture.model == "encoder":
        return {"input_ids": torch.zeros(2, config["max_position_embeddings"], dtype=torch.int64)}, {
            "input_ids": {0: batch}
        }
    height, width = (dim(name, min=2, max=_MAX_LATENT_EXTENT) for name in ("latent_height", "latent_width"))
    free = {0: batch, 2: height, 3: width}
    if architecture.model == "vae_decoder":
        return {"latents": torch.zeros(2, config["latent_channels"], 10, 12)}, {"latents": free}
    extent = 2 ** (len(config["block_out_channels"]) - 1)
    if architecture.model == "vae_encoder":
        most = extent * _MAX_LATENT_EXTENT
        height, width = (dim(name, min=2 * extent, max=most) for name in ("height", "width"))
        return {"image": torch.zeros(2, 3, 10 * extent, 12 * extent)}, {"image": {0: batch, 2: height, 3: width}}
    latents = torch.zeros(2, config["in_channels"], 2 * extent + 1, 3 * extent + 1)
    states = torch.zeros(2, 77, config["cross_attention_dim"])
    arguments = {"latents": latents, "timestep": torch.zeros(2), "encoder_hidden_states": states}
    tokens = dim("tokens", min=2, max=4096)
    shapes = {"latents": free, "timestep": {0: batch}, "encoder_hidden_states": {0: batch, 1: tokens}}
    if _is_conditioned(architecture):
        pooled = config["projection_class_embeddings_input_dim"] - _TIME_IDS * config["addition_time_embed_dim"]
        arguments |= {"text_embeds": torch.zeros(2, pooled), "time_ids": torch.zeros(2, _TIME_IDS)}
        shapes |= {"text_embeds": {0: batch}, "time_ids": {0: batch}}
    return arguments, shapes

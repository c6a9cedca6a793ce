"""Each architecture as a torch module with the contract's inputs and outputs; needs torch and diffusers."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from triptych.checkpoint import Architecture
from triptych.checkpoint.families.upscalers import pixels_together
from triptych.contract import (
    CONTROLNET,
    CONTROLNET_HINT,
    ENCODER,
    ENCODER_2,
    ENCODERS,
    SAFETY_CHECKER,
    UNET,
    UPSCALER,
    VAE_DECODER,
    VAE_ENCODER,
)
from triptych.engine.conditions import conditioning_dims, residual_names
from triptych.engine.unions import MODULES as UNION_MODULES
from triptych.engine.unions import union_inputs
from triptych.engine.upscaling import upscaler_module

# Triton's batches stay below the 64 samples at which diffusers' upsampling takes another path.
_MAX_BATCH = 63
_MAX_LATENT_EXTENT = 4096


class _Encoder(nn.Module):
    """A CLIP text encoder from its tokens' embeddings on, so that what no table holds can be among them.

    inputs_embeds [B, tokens, hidden], pooled_position int64 [B], skip_layers int64 [B], final_norm bool [B] ->
    hidden_states [B, tokens, hidden] of the layer that many before the last, normed or not, and pooled [B, projection].
    """

    def __init__(self, architecture: Architecture) -> None:
        import transformers

        super().__init__()
        # Special tokens say only where the pooled vector is, which is told here.
        special = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
        config = transformers.CLIPTextConfig(**architecture.config, **special)
        self.model = getattr(transformers, architecture.class_name)(config)
        del self._text.embeddings.token_embedding

    @property
    def _text(self) -> Any:
        """The transformer itself, which one with a projection wraps."""
        return getattr(self.model, "text_model", self.model)

    def forward(
        self,
        inputs_embeds: torch.Tensor,
        pooled_position: torch.Tensor,
        skip_layers: torch.Tensor,
        final_norm: torch.Tensor,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        states = self._layers(inputs_embeds)
        norm = self._text.final_layer_norm
        rows = torch.arange(inputs_embeds.shape[0], device=inputs_embeds.device)
        pooled: torch.Tensor = norm(states[-1])[rows, pooled_position]
        if hasattr(self.model, "text_projection"):
            pooled = self.model.text_projection(pooled)
        chosen = torch.stack(states, dim=1)[rows, len(states) - 1 - skip_layers]
        return torch.where(final_norm[:, None, None], norm(chosen), chosen), pooled

    def _layers(self, inputs_embeds: torch.Tensor) -> list[torch.Tensor]:
        """What transformers calls hidden_states: the embeddings with their positions, and what each layer made."""
        from transformers.masking_utils import create_causal_mask

        states: list[torch.Tensor] = [self._text.embeddings(inputs_embeds=inputs_embeds)]
        mask = create_causal_mask(self._text.config, states[0], attention_mask=None, past_key_values=None)
        for layer in self._text.encoder.layers:
            states.append(layer(states[-1], mask, is_causal=True))
        return states


class _UNet(nn.Module):
    """UNet2DConditionModel: latents [B, C, h, w], timestep [B] and what it is conditioned on -> noise_pred.

    Under a ControlNet its residuals come too, in the order of `residual_names`.
    """

    def __init__(self, architecture: Architecture) -> None:
        from diffusers import UNet2DConditionModel

        super().__init__()
        self.model = UNet2DConditionModel(**architecture.config)
        # Above this count of upsamplers no extent divides evenly, so that every resize takes its size from the skip
        # connection: one graph is then right for all sizes, and for even ones equal to doubling.
        self.model.num_upsamplers = 20

    def forward(
        self,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        text_embeds: torch.Tensor | None = None,
        time_ids: torch.Tensor | None = None,
        **residuals: torch.Tensor,
    ) -> tuple[torch.Tensor]:
        added = None if text_embeds is None else {"text_embeds": text_embeds, "time_ids": time_ids}
        more: dict[str, Any] = {}
        if residuals:
            *down, more["mid_block_additional_residual"] = residuals.values()
            more["down_block_additional_residuals"] = tuple(down)
        prediction = self.model(
            latents, timestep, encoder_hidden_states, added_cond_kwargs=added, return_dict=False, **more
        )
        return (prediction[0],)


class _VaeDecoder(nn.Module):
    """AutoencoderKL's decoder: latents [B, C, h, w], already unscaled -> image [B, 3, H, W], nominally in [-1, 1]."""

    def __init__(self, architecture: Architecture) -> None:
        from diffusers import AutoencoderKL

        super().__init__()
        self.model = AutoencoderKL(**architecture.config)
        del self.model.encoder, self.model.quant_conv

    def forward(self, latents: torch.Tensor) -> tuple[torch.Tensor]:
        if self.model.post_quant_conv is not None:
            latents = self.model.post_quant_conv(latents)
        return (self.model.decoder(latents),)


class _VaeEncoder(nn.Module):
    """AutoencoderKL's encoder: image [B, 3, H, W] in [-1, 1] -> moments [B, 2 C, h, w], means, then log variances."""

    def __init__(self, architecture: Architecture) -> None:
        from diffusers import AutoencoderKL

        super().__init__()
        self.model = AutoencoderKL(**architecture.config)
        del self.model.decoder, self.model.post_quant_conv

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        moments: torch.Tensor = self.model.encoder(image)
        return (moments if self.model.quant_conv is None else self.model.quant_conv(moments),)


class _SafetyChecker(nn.Module):
    """diffusers' safety checker, which judges nothing here: image [B, 3, h, w] as its feature extractor makes it ->
    special_scores [B, 3], concept_scores [B, 17].

    A score is the cosine of picture and concept, less that from which on it counts.
    """

    def __init__(self, architecture: Architecture) -> None:
        from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
        from transformers import CLIPConfig

        super().__init__()
        vision = {key: value for key, value in architecture.config.items() if key != "projection_dim"}
        config = CLIPConfig(vision_config=vision, projection_dim=architecture.config["projection_dim"])
        self.model: Any = StableDiffusionSafetyChecker(config)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        checker, normalized = self.model, nn.functional.normalize
        embeds = normalized(checker.visual_projection(checker.vision_model(image).pooler_output))
        special = embeds @ normalized(checker.special_care_embeds).T - checker.special_care_embeds_weights
        concepts = embeds @ normalized(checker.concept_embeds).T - checker.concept_embeds_weights
        return special, concepts


class _ControlNet(nn.Module):
    """ControlNetModel without what makes its hint: a UNet's inputs, hint [B, hidden, h, w] and scales -> residuals.

    `scales` [B, residuals] multiply them, for each sample by itself; diffusers has one for all.
    """

    def __init__(self, architecture: Architecture) -> None:
        from diffusers import ControlNetModel

        super().__init__()
        self.model = ControlNetModel(**architecture.config)
        self.model.controlnet_cond_embedding = nn.Identity()

    def forward(
        self,
        latents: torch.Tensor,
        timestep: torch.Tensor,
        hint: torch.Tensor,
        scales: torch.Tensor,
        encoder_hidden_states: torch.Tensor,
        text_embeds: torch.Tensor | None = None,
        time_ids: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, ...]:
        added = None if text_embeds is None else {"text_embeds": text_embeds, "time_ids": time_ids}
        down, middle = self.model(
            latents, timestep, encoder_hidden_states, hint, added_cond_kwargs=added, return_dict=False
        )
        return tuple(residual * scales[:, place, None, None, None] for place, residual in enumerate([*down, middle]))


class _Hint(nn.Module):
    """What a ControlNet makes of the picture that it looks at: image [B, 3, H, W] in [0, 1] -> hint, once a request."""

    def __init__(self, architecture: Architecture) -> None:
        from diffusers.models.controlnets.controlnet import ControlNetConditioningEmbedding

        super().__init__()
        config = dict(architecture.config)
        self._is_bgr = config.pop("controlnet_conditioning_channel_order") == "bgr"
        self.model = ControlNetConditioningEmbedding(**config)

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor]:
        return (self.model(torch.flip(image, dims=[1]) if self._is_bgr else image),)


_MODULES: dict[str, Callable[[Architecture], nn.Module]] = {
    ENCODER.name: _Encoder,
    ENCODER_2.name: _Encoder,
    UNET.name: _UNet,
    VAE_DECODER.name: _VaeDecoder,
    VAE_ENCODER.name: _VaeEncoder,
    UPSCALER.name: upscaler_module,
    SAFETY_CHECKER.name: _SafetyChecker,
    CONTROLNET: _ControlNet,
    CONTROLNET_HINT: _Hint,
}
_OUTPUT_NAMES: dict[str, tuple[str, ...]] = {
    ENCODER.name: ("hidden_states", "pooled"),
    ENCODER_2.name: ("hidden_states", "pooled"),
    UNET.name: ("noise_pred",),
    VAE_DECODER.name: ("image",),
    VAE_ENCODER.name: ("moments",),
    UPSCALER.name: ("sample",),
    SAFETY_CHECKER.name: ("special_scores", "concept_scores"),
    CONTROLNET_HINT: ("hint",),
}


def output_names(architecture: Architecture) -> list[str]:
    """Of the module's outputs, in their order."""
    if architecture.model == CONTROLNET:
        return residual_names(architecture)
    return list(_OUTPUT_NAMES[architecture.model])


def build_module(architecture: Architecture) -> nn.Module:
    """The architecture in evaluation mode, its parameters on the meta device: known in shape, nowhere in memory."""
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")
        is_union = architecture.class_name.startswith("ControlNetUnion")
        module = (UNION_MODULES if is_union else _MODULES)[architecture.model](architecture)
    for name, buffer in list(module.named_buffers()):
        owner, _, attribute = name.rpartition(".")
        if attribute != "position_ids":
            raise RuntimeError(f"{architecture.class_name} has a buffer {name} whose content is not known here")
        positions = torch.arange(buffer.shape[-1]).expand(buffer.shape).clone()
        module.get_submodule(owner).register_buffer(attribute, positions, persistent=False)
    return module.eval().requires_grad_(False)


def parameter_names(module: nn.Module) -> dict[str, str]:
    """From the module's parameter names to the checkpoint's own."""
    return {name: name.removeprefix("model.").removeprefix("text_model.") for name, _ in module.named_parameters()}


def example_inputs(architecture: Architecture) -> tuple[dict[str, torch.Tensor], dict[str, dict[int, Any]]]:
    """Arguments to trace with and the dimensions that stay free: batch everywhere, height and width of a picture."""
    dim = torch.export.Dim
    batch = dim("batch", min=1, max=_MAX_BATCH)
    config = architecture.config
    if architecture.model in ENCODERS:
        arguments = {
            "inputs_embeds": torch.zeros(2, config["max_position_embeddings"], config["hidden_size"]),
            "pooled_position": torch.zeros(2, dtype=torch.int64),
            "skip_layers": torch.zeros(2, dtype=torch.int64),
            "final_norm": torch.ones(2, dtype=torch.bool),
        }
        return arguments, {name: {0: batch} for name in arguments}
    if architecture.model == SAFETY_CHECKER.name:
        return {"image": torch.zeros(2, 3, config["image_size"], config["image_size"])}, {"image": {0: batch}}
    height, width = (dim(name, min=2, max=_MAX_LATENT_EXTENT) for name in ("latent_height", "latent_width"))
    free = {0: batch, 2: height, 3: width}
    if architecture.model == VAE_DECODER.name:
        return {"latents": torch.zeros(2, config["latent_channels"], 10, 12)}, {"latents": free}
    if architecture.model == UPSCALER.name:
        return {"image": torch.zeros(2, 3 * pixels_together(architecture) ** 2, 10, 12)}, {"image": free}
    extent = 2 ** (len(config["block_out_channels"]) - 1)
    if architecture.model == VAE_ENCODER.name:
        most = extent * _MAX_LATENT_EXTENT
        height, width = (dim(name, min=2 * extent, max=most) for name in ("height", "width"))
        return {"image": torch.zeros(2, 3, 10 * extent, 12 * extent)}, {"image": {0: batch, 2: height, 3: width}}
    if architecture.model == CONTROLNET_HINT:
        height, width = (extent * dim(name, min=2, max=_MAX_LATENT_EXTENT) for name in ("height", "width"))
        image = torch.zeros(2, config["conditioning_channels"], 10 * extent, 12 * extent)
        more = union_inputs(architecture)
        return {"image": image, **more}, {
            "image": {0: batch, 2: height, 3: width},
            **{name: {0: batch} for name in more},
        }
    latents = torch.zeros(2, config["in_channels"], 2 * extent + 1, 3 * extent + 1)
    arguments = {"latents": latents, "timestep": torch.zeros(2)}
    shapes: dict[str, dict[int, Any]] = {"latents": free, "timestep": {0: batch}}
    if architecture.model == CONTROLNET:
        arguments["hint"] = torch.zeros(2, config["block_out_channels"][0], *latents.shape[2:])
        arguments["scales"] = torch.zeros(2, len(residual_names(architecture)))
        more = union_inputs(architecture)
        arguments |= more
        shapes |= {"hint": free, "scales": {0: batch}, **{name: {0: batch} for name in more}}
    tokens = dim("tokens", min=2, max=4096)
    for name, dims in conditioning_dims(architecture).items():
        arguments[name] = torch.zeros(2, *(extent if isinstance(extent, int) else 77 for extent in dims))
        shapes[name] = {0: batch} | {place: tokens for place, extent in enumerate(dims, 1) if extent == "tokens"}
    return arguments, shapes

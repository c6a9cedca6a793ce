"""The three small networks of the demo checkpoint, in the architecture of Stable Diffusion 1.

Source: Rombach et al. 2022 (latent diffusion); the classes are those of ``diffusers`` and ``transformers``.
"""

from typing import Final

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

PICTURE_SIZE: Final = 128
"""Side of the pictures the networks are trained on, in pixels."""

LATENT_SIZE: Final = 16
"""Side of the latents of such a picture: the VAE halves it three times."""

TOKEN_COUNT: Final = 77
TEXT_WIDTH: Final = 128


def make_vae() -> AutoencoderKL:
    """Return a fresh VAE: (batch, 3, H, W) in [-1, 1] to (batch, 4, H / 8, W / 8) and back.

    One group per GroupNorm: with few channels, more groups would normalise a flat colour away.
    """
    return AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(16, 32, 64, 64),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=1,
        sample_size=PICTURE_SIZE,
    )


def make_unet() -> UNet2DConditionModel:
    """Return a fresh UNet: latents (batch, 4, 16, 16), timesteps (batch,), text (batch, 77, 128) to velocity.

    Attention sits at the 8x8 level and in the middle block only, which halves the time of a training step.
    """
    return UNet2DConditionModel(
        sample_size=LATENT_SIZE,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        block_out_channels=(64, 128),
        layers_per_block=1,
        norm_num_groups=2,
        attention_head_dim=4,
        cross_attention_dim=TEXT_WIDTH,
    )


@torch.no_grad()
def sharpen_text_attention(unet: UNet2DConditionModel, factor: float = 4.0) -> None:
    """Scale the logits of a fresh UNet's attention to the text, which else averages a caption's words away."""
    for name, module in unet.named_modules():
        if name.endswith("attn2"):
            module.to_q.weight *= factor**0.5
            module.to_k.weight *= factor**0.5


def make_text_encoder(vocabulary_size: int, start_token: int, end_token: int) -> CLIPTextModel:
    """Return a fresh text encoder: token ids (batch, 77) to hidden states (batch, 77, 128)."""
    text_encoder = CLIPTextModel(
        CLIPTextConfig(
            vocab_size=vocabulary_size,
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            projection_dim=TEXT_WIDTH,
            num_hidden_layers=3,
            num_attention_heads=4,
            max_position_embeddings=TOKEN_COUNT,
            hidden_act="quick_gelu",
            bos_token_id=start_token,
            eos_token_id=end_token,
            pad_token_id=end_token,
        )
    )
    # CLIP starts its embeddings at a deviation of 0.02, which the first layer drowns: words would learn slowly.
    for name, weight in text_encoder.named_parameters():
        if "token_embedding" in name:
            torch.nn.init.normal_(weight, std=0.5)
        elif "position_embedding" in name:
            torch.nn.init.normal_(weight, std=0.1)
    return text_encoder


def make_scheduler() -> DDIMScheduler:
    """Return the scheduler the UNet is trained for and the checkpoint names.

    It predicts the velocity (Salimans and Ho 2022, appendix D): at high noise, where a scene's flat colours are
    decided, that is almost the negative picture, and an error there is not magnified as it is for the noise.

    The betas are those of Ho et al. 2020, linear from 1e-4 to 2e-2, not Stable Diffusion's. A scene is
    mostly one flat colour, whose mean over 256 latents shines through Stable Diffusion's last timestep
    (amplitude 0.07, against 0.0625 for the mean of the noise): the UNet would read the background there
    instead of the caption.
    """
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=1e-4,
        beta_end=2e-2,
        beta_schedule="linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type="v_prediction",
    )

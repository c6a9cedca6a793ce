"""The VAE decoder model: latents in, pictures out."""

from __future__ import annotations

import numpy as np

from triptych.checkpoint import Checkpoint
from triptych.contract import VAE_DECODER
from triptych.errors import invalid
from triptych.stage import NOT_FINITE, Batch, StageModel, not_finite

_LARGEST_WARM_UP = 8  # latents, on a CPU


class VaeDecoderModel(StageModel):
    """`<checkpoint>.vae_decoder`: latents [B, C, h, w] as the scheduler left them -> image uint8 [B, H, W, 3]."""

    spec = VAE_DECODER

    def warm_up_inputs(self, checkpoint: Checkpoint) -> Batch:
        """One picture."""
        return {"latents": np.zeros((1, checkpoint.latent_channels, *self.warm_up_size(_LARGEST_WARM_UP)), np.float32)}

    def prepare(self, batch: Batch) -> Batch:
        """Undoes the scaling that the checkpoint's configuration states; diffusers' pipeline knows no shift here."""
        scaling = self.component.latent_scaling
        latents = batch["latents"].astype(np.float32, copy=False)
        channels = self.component.architecture.config["latent_channels"]
        if latents.shape[1] != channels:
            raise invalid("latents", f"has {latents.shape[1]} channels, must have {channels}")
        if not scaling.std:
            return {"latents": latents / np.float32(scaling.factor)}
        mean, std = (np.array(each, np.float32)[:, None, None] for each in (scaling.mean, scaling.std))
        return {"latents": latents * std / np.float32(scaling.factor) + mean}

    def run(self, batch: Batch) -> Batch:
        """Decodes, and rounds to 8 bits as diffusers does."""
        image = self.engine.infer(batch)["image"]
        unit = np.nan_to_num(np.clip(image.astype(np.float32, copy=False) / 2 + 0.5, 0, 1))
        pixels = np.round(unit * 255).astype(np.uint8).transpose(0, 2, 3, 1)
        return {"image": pixels, NOT_FINITE: not_finite({"image": image})}

"""The VAE's models: latents in and pictures out, and the other way."""

from __future__ import annotations

import numpy as np

from triptych.checkpoint import Checkpoint
from triptych.checkpoint.pixels import rounded
from triptych.contract import VAE_DECODER, VAE_ENCODER
from triptych.errors import invalid
from triptych.stage import NOT_FINITE, Batch, StageModel, axes_of, not_finite

_SIZE_CHECK, _UNROUNDED = "size_check", "unrounded"


class VaeDecoderModel(StageModel):
    """`<checkpoint>.vae_decoder`: latents [B, C, h, w] as the scheduler left them -> image uint8 [B, H, W, 3]."""

    spec = VAE_DECODER

    def warm_up_inputs(self, checkpoint: Checkpoint) -> Batch:
        """One picture."""
        return {"latents": np.zeros((1, checkpoint.latent_channels, *self.warm_up_size()), np.float32)}

    def prepare(self, batch: Batch) -> Batch:
        """Undoes the scaling that the checkpoint's configuration states; diffusers' pipeline knows no shift here."""
        scaling = self.component.latent_scaling
        latents = batch["latents"].astype(np.float32, copy=False)
        channels = self.component.architecture.config["latent_channels"]
        if latents.shape[1] != channels:
            raise invalid("latents", f"has {latents.shape[1]} channels, must have {channels}")
        self.engine.check({"latents": latents.shape})
        if _SIZE_CHECK in batch:
            return {_SIZE_CHECK: batch[_SIZE_CHECK]}
        told = {name: batch[name] for name in (_UNROUNDED,) if name in batch}
        if not scaling.std:
            return {"latents": latents / np.float32(scaling.factor), **told}
        mean, std = (np.array(each, np.float32)[:, None, None] for each in (scaling.mean, scaling.std))
        return {"latents": latents * std / np.float32(scaling.factor) + mean, **told}

    def run(self, batch: Batch) -> Batch:
        """Decodes, and rounds unless asked not to; a size that was only asked about is answered already."""
        if (asked := batch.get(_SIZE_CHECK)) is not None:
            if axes := axes_of(batch)[1]:
                self.engine.require_wrapped(axes)
            return {"image": np.zeros((len(asked), 1, 1, 3), np.uint8), NOT_FINITE: np.zeros(len(asked), bool)}
        wanted = {name: array for name, array in batch.items() if name != _UNROUNDED}
        sample = self.infer(wanted)["image"].astype(np.float32, copy=False)
        if _UNROUNDED in batch:
            return {"sample": sample}
        return {"image": rounded(sample), NOT_FINITE: not_finite({"sample": sample})}


class VaeEncoderModel(StageModel):
    """`<checkpoint>.vae_encoder`: image uint8 [B, H, W, 3 or 4] -> moments float32 [B, 2 C, h, w], not scaled yet."""

    spec = VAE_ENCODER

    def warm_up_inputs(self, checkpoint: Checkpoint) -> Batch:
        """One picture of one grey."""
        height, width = (extent * self._scale for extent in self.warm_up_size())
        return {"image": np.zeros((1, 3, height, width), np.float32)}

    def prepare(self, batch: Batch) -> Batch:
        """From 8 bits to [-1, 1], with diffusers' roundings on the way."""
        _, height, width, channels = batch["image"].shape
        if channels not in (3, 4) or height % self._scale or width % self._scale or not (height and width):
            problem = f"must be RGB or RGBA, height and width multiples of {self._scale}"
            raise invalid("image", f"is {height} x {width} x {channels}, {problem}")
        unit = batch["image"].astype(np.float32) / np.float32(255)
        image = np.float32(2) * unit[..., :3] - np.float32(1)
        if channels == 4:
            image = image * unit[..., 3:]
        return {"image": np.ascontiguousarray(image.transpose(0, 3, 1, 2))}

    def run(self, batch: Batch) -> Batch:
        """Encodes."""
        return self.infer(batch)

    @property
    def _scale(self) -> int:
        """Pixels a latent."""
        return int(2 ** (len(self.component.architecture.config["block_out_channels"]) - 1))

"""Checkpoints that edit pictures: their UNets see a picture, or one under a mask, beside the noisy latents."""

from __future__ import annotations

from dataclasses import dataclass

from triptych.checkpoint.architecture import Architecture


@dataclass(frozen=True)
class Editing:
    """A way of editing; `needs` are the request's fields that it cannot do without, `way` is for people."""

    way: str
    needs: tuple[str, ...]


INSTRUCTED = Editing("as instructed (InstructPix2Pix)", ("images",))
INPAINTING = Editing("under a mask (inpainting)", ("images", "mask_images"))


def image_channels(unet: Architecture) -> int:
    """Channels that a UNet sees beside those of the noisy latents."""
    return int(unet.config["in_channels"] - unet.config["out_channels"])


def editing(unet: Architecture, latent_channels: int) -> Editing | None:
    """How it edits, by its channels: a picture has as many as the noise, a mask one; None where it does not."""
    ways = {2 * latent_channels: INSTRUCTED, 2 * latent_channels + 1: INPAINTING}
    return ways.get(unet.config["in_channels"])

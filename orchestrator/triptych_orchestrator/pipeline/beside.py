"""What a UNet that edits pictures sees beside its latents, by pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from triptych_orchestrator.pipeline.vae import Vae
from triptych_orchestrator.pixels.masks import binaries, latent_masks
from triptych_orchestrator.sampling.moments import draw_once
from triptych_orchestrator.sampling.noise import Generator

Array = npt.NDArray[np.float32]
Scalar = TypeVar("Scalar", bound=np.generic)


class Beside(Protocol):
    """A pass's, said by what it is of."""

    async def latents(self, vae: Vae, generators: Sequence[Generator], samples: int) -> Array:
        """[rows, C, h, w], one row for all samples or one for each; what is random is drawn after the pass's noise."""
        ...


@dataclass(frozen=True)
class Shown:
    """Pictures as InstructPix2Pix was trained with them: their latents' means, and those not scaled.

    RGB, height x width x 3; one, or one for each sample.
    """

    pictures: tuple[bytes, ...]
    width: int
    height: int

    async def latents(self, vae: Vae, generators: Sequence[Generator], samples: int) -> Array:
        """Nothing of them is drawn."""
        return np.split(await vae.encode(_pixels(self.pictures, self.width, self.height)), 2, axis=1)[0]


@dataclass(frozen=True)
class ShownMasked:
    """Masks, 8-bit grey, and pictures without what is drawn anew, which is grey: as UNets for inpainting have them.

    RGB, height x width x 3; of both one, or one for each sample.
    """

    pictures: tuple[bytes, ...]
    masks: tuple[bytes, ...]
    width: int
    height: int

    async def latents(self, vae: Vae, generators: Sequence[Generator], samples: int) -> Array:
        """Each masked picture is drawn once; the mask lies before its latents."""
        drawn = binaries(self.masks, self.width, self.height)
        pictures = _pixels(self.pictures, self.width, self.height)
        count = max(len(drawn), len(pictures))
        opaque = np.where(_repeated(drawn, count), np.uint8(0), np.uint8(255))
        moments = await vae.encode(np.concatenate([_repeated(pictures, count), opaque[..., None]], axis=-1))
        seen = vae.scaled(draw_once(moments, generators, samples))
        masks = latent_masks(drawn, self.height // seen.shape[2])
        return np.concatenate([_repeated(masks, samples), seen], axis=1)


def _pixels(pictures: Sequence[bytes], width: int, height: int) -> npt.NDArray[np.uint8]:
    return np.stack([np.frombuffer(rgb, np.uint8).reshape(height, width, 3) for rgb in pictures])


def _repeated(rows: npt.NDArray[Scalar], count: int) -> npt.NDArray[Scalar]:
    return np.concatenate([rows] * (count // len(rows)))

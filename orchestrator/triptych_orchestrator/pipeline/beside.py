"""What a UNet that edits pictures sees beside its latents, by pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from triptych_orchestrator.pipeline.vae import Vae
from triptych_orchestrator.sampling.noise import Generator

Array = npt.NDArray[np.float32]


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
        pictures = [np.frombuffer(rgb, np.uint8).reshape(self.height, self.width, 3) for rgb in self.pictures]
        return np.split(await vae.encode(np.stack(pictures)), 2, axis=1)[0]

"""Where a pass begins: the latents that its loop is given.

The random numbers are drawn in diffusers' order: for the pictures' latents, then for the noise on them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from triptych.checkpoint import LatentScaling
from triptych_orchestrator.pipeline.plan import FromPictures, Pass
from triptych_orchestrator.pipeline.vae import Vae
from triptych_orchestrator.sampling.moments import draw_latents
from triptych_orchestrator.sampling.noise import Generator, draw
from triptych_orchestrator.sampling.schedulers import Solver

Array = npt.NDArray[np.float32]


async def begin(one: Pass, solver: Solver, shape: Sequence[int], generators: Sequence[Generator], vae: Vae) -> Array:
    """Latents of that shape [B, C, h, w], as noisy as they are to be, of a pass that takes none from one before."""
    if not isinstance(one.source, FromPictures):
        return solver.from_noise(draw(generators, shape))
    pictures = [np.frombuffer(rgb, np.uint8).reshape(one.height, one.width, 3) for rgb in one.source.pictures]
    moments = await vae.encode(np.stack(pictures))
    original = scaled(draw_latents(moments, generators, shape[0]), vae.scaling)
    return solver.add_noise(original, draw(generators, shape), one.evaluations(solver).start)


def scaled(latents: Array, scaling: LatentScaling) -> Array:
    """The VAE's latents as the UNet knows them, with diffusers' roundings on the way."""
    if not scaling.std:
        return np.float32(scaling.factor) * latents
    mean, std = (np.array(each, np.float32)[:, None, None] for each in (scaling.mean, scaling.std))
    return (latents - mean) * np.float32(scaling.factor) / std

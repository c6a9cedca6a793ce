"""Inpainting: how a pass begins that draws parts of pictures anew, and how what it drew is laid on them.

The random numbers are drawn in diffusers' order: for the pictures' latents, for the noise, for the masked pictures'
latents; the last are drawn for a UNet that does not see them too.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

import numpy as np
import numpy.typing as npt
from PIL import Image

from triptych.checkpoint.reading import Readers
from triptych_orchestrator.jobs.pictures import field_of, picture
from triptych_orchestrator.jobs.tasks.inpainting import Original
from triptych_orchestrator.pipeline.begun import Begun
from triptych_orchestrator.pipeline.plan import FromMasked, Pass
from triptych_orchestrator.pipeline.vae import Vae
from triptych_orchestrator.pixels.masks import binaries, latent_masks
from triptych_orchestrator.pixels.pasting import laid_into, laid_over
from triptych_orchestrator.sampling.known import Known
from triptych_orchestrator.sampling.moments import draw_once, drawing
from triptych_orchestrator.sampling.noise import draw
from triptych_orchestrator.sampling.schedulers import Solver
from triptych_orchestrator.sampling.variations import Randomness

Array = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

# All requests' together: a file's picture may be large, and is decoded again.
_MOST_THREADS = 2
_LAYERS = Readers(_MOST_THREADS)


async def begin_masked(
    one: Pass, source: FromMasked, solver: Solver, shape: Sequence[int], randomness: Randomness, vae: Vae
) -> Begun:
    """What is known lies under the same noise as what is drawn anew; a UNet that sees it needs no reminding."""
    sees = one.beside is not None
    if sees and source.begins_with_noise:
        return Begun(solver.from_noise(randomness.first(shape)))
    moments = await vae.encode(np.stack([_pixels(rgb, one) for rgb in source.pictures]))
    generators = randomness.generators
    original = vae.scaled(draw_once(moments, generators, shape[0]))
    noise = randomness.first(shape)
    if not sees:
        masked = max(len(source.pictures), len(source.masks))
        draw(drawing(generators, masked), (masked, *shape[1:]))
    drawn = latent_masks(binaries(source.masks, one.width, one.height), one.height // shape[2])
    drawn = np.tile(drawn, (shape[0] // len(drawn), 1, 1, 1))
    original = _with_content(source.content, original, noise, drawn)
    known = None if sees else Known(original, noise, drawn)
    if source.begins_with_noise:
        return Begun(solver.from_noise(noise), known)
    return Begun(solver.add_noise(original, noise, one.evaluations(solver).start), known)


def _with_content(content: str, original: Array, noise: Array, drawn: Array) -> Array:
    """The latents that the noise is added to, with A1111's masked content."""
    if content == "latent_noise":
        return (1 - drawn) * original + drawn * noise
    return (1 - drawn) * original if content == "latent_nothing" else original


def _pixels(rgb: bytes, one: Pass) -> Pixels:
    return np.frombuffer(rgb, np.uint8).reshape(one.height, one.width, 3)


async def laid_on(images: Sequence[Pixels], originals: Sequence[Original]) -> list[Pixels]:
    """The pictures as they go out, each on its original; one original may be for all."""
    laid = (partial(_laid_on, pixels, originals[index % len(originals)]) for index, pixels in enumerate(images))
    return [await asyncio.wrap_future(_LAYERS.submit(work)) for work in laid]


def _laid_on(pixels: Pixels, original: Original) -> Pixels:
    drawn = Image.fromarray(pixels)
    if original.box is None:
        below = Image.frombytes("RGB", (original.width, original.height), original.pixels)
        laid = laid_over(drawn, below, Image.frombytes("L", below.size, original.shares))
        return np.asarray(laid.crop(original.cut) if original.cut else laid)
    below, _ = picture(field_of(0), original.file, original.width * original.height)
    shares = Image.frombytes("L", original.box.size, original.shares)
    return np.asarray(laid_into(drawn, below, shares, original.box))

"""Where a pass begins: the latents that its loop is given.

The random numbers are drawn in diffusers' order: for the pictures' latents, then for the noise on them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from triptych_orchestrator.library.upscalers import Pixels, Upscalers, enlarged
from triptych_orchestrator.pipeline.begun import Begun
from triptych_orchestrator.pipeline.inpainting import begin_masked
from triptych_orchestrator.pipeline.plan import Enlarged, FromBefore, FromMasked, FromNoise, FromPictures, Pass
from triptych_orchestrator.pipeline.vae import Vae
from triptych_orchestrator.sampling.interpolation import enlarge_latents, middle
from triptych_orchestrator.sampling.moments import draw_latents
from triptych_orchestrator.sampling.schedulers import Solver
from triptych_orchestrator.sampling.variations import Randomness

Array = npt.NDArray[np.float32]


class Beginning:
    """`upscalers` are those of pictures."""

    def __init__(self, one: Pass, vae: Vae, upscalers: Upscalers, request_id: str) -> None:
        self._one, self._size = one, (one.width, one.height)
        self._scale = vae.pixels_a_latent
        self._vae = vae
        self._upscalers = upscalers
        self._request_id = request_id

    async def begin(self, solver: Solver, shape: Sequence[int], randomness: Randomness, before: Begun) -> Begun:
        """Latents of that shape [B, C, h, w], as noisy as they are to be; `before` is what the pass before has left."""
        source = self._one.source
        match source:
            case FromBefore():
                return before
            case FromMasked():
                return await begin_masked(self._one, source, solver, shape, randomness, self._vae)
            case FromNoise():
                return Begun(solver.from_noise(randomness.first(shape)))
            case FromPictures():
                size = self._one.height, self._one.width
                pictures = [np.frombuffer(rgb, np.uint8).reshape(*size, 3) for rgb in source.pictures]
                original = await self._encoded(pictures, shape, randomness)
            case Enlarged() if source.is_encoded:
                pictures = await self._enlarged(before.latents, source)
                original = await self._encoded(pictures, shape, randomness)
            case Enlarged():
                width, height = (extent // self._scale for extent in source.covering or self._size)
                larger = enlarge_latents(source.upscaler, before.latents, (height, width))
                original = middle(larger, shape[2:])
        return Begun(solver.add_noise(original, randomness.first(shape), self._one.evaluations(solver).start))

    async def _encoded(self, pictures: Sequence[Pixels], shape: Sequence[int], randomness: Randomness) -> Array:
        moments = middle(await self._vae.encode(np.stack(pictures)), shape[2:])
        return self._vae.scaled(draw_latents(moments, randomness.generators, shape[0]))

    async def _enlarged(self, latents: Array, source: Enlarged) -> list[Pixels]:
        """Cut to whole latents."""
        upscaler, size = self._upscalers.get("hires.upscaler", source.upscaler), source.covering or self._size
        width, height = (extent // self._scale * self._scale for extent in size)
        pictures = await self._vae.decode(latents)
        larger = [await enlarged(picture, upscaler, size, self._request_id) for picture in pictures]
        return [pixels[:height, :width] for pixels in larger]

"""The VAE stage for one request: latents to pictures and back, each or each tile in a call, so that none is long."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import numpy as np
import numpy.typing as npt

from triptych.checkpoint import LatentScaling
from triptych.checkpoint.pixels import rounded
from triptych.contract import VAE_DECODER, VAE_ENCODER
from triptych_orchestrator.library.entry import Entry
from triptych_orchestrator.pipeline.tiling.calls import answers
from triptych_orchestrator.pipeline.tiling.tiles import Tiles, Tiling
from triptych_orchestrator.stages.pool import PlacedModel, ReplicaPool
from triptych_orchestrator.stages.triton import Tensors
from triptych_orchestrator.stages.use import StageUse
from triptych_orchestrator.stages.wrapping import wrapping

Latents = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]


class Vae:
    """`use` is what the request had of the stage; the encoder must have been placed for it, see `Catalog.use`.

    `scaling` lies between its latents and the UNet's. A checkpoint's own decoder undoes it by itself, a VAE alone does
    not. `tile_size` is that of the tiles it had to work in so far, in pixels, or 0.
    """

    def __init__(
        self,
        pool: ReplicaPool,
        entry: Entry,
        scaling: LatentScaling,
        tiling: Tiling,
        request_id: str,
        timeout_s: float,
        use: StageUse,
    ) -> None:
        self._pool = pool
        self._models = entry.models()
        self._unscales = not entry.draws
        self._tiling, self.pixels_a_latent = tiling, entry.opened.vae_scale_factor
        self.scaling, self.tile_size = scaling, 0
        self._request_id = request_id
        self._timeout_s = timeout_s
        self.use = use

    async def decode(self, latents: Latents) -> list[Pixels]:
        """Pictures [H, W, 3] of latents [B, C, h, w] as the loop leaves them."""
        if self._unscales:
            latents = unscaled(latents, self.scaling)
        if tiles := self._tiling.decoding(latents.shape[-2:], self.pixels_a_latent):
            self.tile_size = self._tiling.size
            return [await self._decode_tiled(row, tiles) for row in latents]
        around = wrapping(self._tiling.axes)
        images = await self._run(VAE_DECODER.name, [{"latents": row[None], **around} for row in latents])
        return [outputs["image"][0].astype(np.uint8, copy=False) for outputs in images]

    async def encode(self, pictures: Pixels) -> Latents:
        """Moments [B, 2 C, h, w] of pictures [B, H, W, 3]: means and log variances, not scaled yet."""
        if tiles := self._tiling.encoding(pictures.shape[1:3], self.pixels_a_latent):
            self.tile_size = self._tiling.size
            return np.stack([await self._encode_tiled(picture, tiles) for picture in pictures])
        around = wrapping(self._tiling.axes)
        moments = await self._run(VAE_ENCODER.name, [{"image": picture[None], **around} for picture in pictures])
        return np.concatenate([outputs["moments"] for outputs in moments]).astype(np.float32, copy=False)

    def scaled(self, latents: Latents) -> Latents:
        """The VAE's latents as the UNet knows them, with diffusers' roundings on the way."""
        scaling = self.scaling
        if not scaling.std:
            return np.float32(scaling.factor) * latents
        mean, std = (np.array(each, np.float32)[:, None, None] for each in (scaling.mean, scaling.std))
        return (latents - mean) * np.float32(scaling.factor) / std

    async def _decode_tiled(self, latents: Latents, tiles: Tiles) -> Pixels:
        strips, above = [], list[Latents]()
        for row in tiles.rows(latents):
            asked: list[Tensors] = [{"latents": tile[None], "unrounded": np.ones((1, 1), np.uint8)} for tile in row]
            samples = [outputs["sample"][0] for outputs in await self._run_tiles(VAE_DECODER.name, asked)]
            strip, above = await asyncio.to_thread(tiles.blended, above, samples)
            strips.append(rounded(strip))
        return tiles.inner(np.concatenate(strips))

    async def _encode_tiled(self, picture: Pixels, tiles: Tiles) -> Latents:
        strips, above = [], list[Latents]()
        for row in tiles.rows(picture.transpose(2, 0, 1)):
            asked: list[Tensors] = [{"image": tile.transpose(1, 2, 0)[None]} for tile in row]
            moments = [outputs["moments"][0] for outputs in await self._run_tiles(VAE_ENCODER.name, asked)]
            strip, above = await asyncio.to_thread(tiles.blended, above, moments)
            strips.append(strip.transpose(1, 2, 0))
        return tiles.inner(np.concatenate(strips)).transpose(2, 0, 1)

    async def _run_tiles(self, model: str, inputs: list[Tensors]) -> list[Tensors]:
        """As many at a time as there are replicas: more would share a batch there, and its memory."""
        return await self._run(model, inputs, len(self._pool.holders(self._models[model])) or 1)

    async def _run(self, model: str, inputs: list[Tensors], at_once: int | None = None) -> list[Tensors]:
        return await answers(inputs, partial(self._infer, self._models[model]), at_once)

    async def _infer(self, model: PlacedModel, tensors: Tensors) -> Tensors:
        began = time.monotonic()
        outputs, replica = await self._pool.run(
            model, lambda at: at.infer(model, tensors, self._request_id, self._timeout_s)
        )
        self.use.add(model, time.monotonic() - began, [(outputs, replica)])
        return outputs


def unscaled(latents: Latents, scaling: LatentScaling) -> Latents:
    """A UNet's latents as the VAE knows them, with diffusers' roundings on the way."""
    if not scaling.std:
        return latents / np.float32(scaling.factor)
    mean, std = (np.array(each, np.float32)[:, None, None] for each in (scaling.mean, scaling.std))
    return latents * std / np.float32(scaling.factor) + mean

"""The VAE stage for one request: latents to pictures and back, one call each, so that no batch holds it for long."""

from __future__ import annotations

import asyncio
import time

import numpy as np
import numpy.typing as npt

from triptych.checkpoint import LatentScaling
from triptych.contract import VAE_DECODER, VAE_ENCODER
from triptych_orchestrator.library.entry import Entry
from triptych_orchestrator.stages.pool import PlacedModel, ReplicaPool
from triptych_orchestrator.stages.triton import Tensors
from triptych_orchestrator.stages.use import StageUse

Latents = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]


class Vae:
    """`use` is what the request had of the stage; the encoder must have been placed for it, see `Catalog.use`.

    `scaling` lies between its latents and the UNet's. A checkpoint's own decoder undoes it by itself, a VAE alone does
    not.
    """

    def __init__(
        self, pool: ReplicaPool, entry: Entry, scaling: LatentScaling, request_id: str, timeout_s: float, use: StageUse
    ) -> None:
        self._pool = pool
        self._models = entry.models()
        self._unscales = not entry.draws
        self.scaling = scaling
        self._request_id = request_id
        self._timeout_s = timeout_s
        self.use = use

    async def decode(self, latents: Latents) -> list[Pixels]:
        """Pictures [H, W, 3] of latents [B, C, h, w] as the loop leaves them."""
        if self._unscales:
            latents = unscaled(latents, self.scaling)
        images = await self._run(VAE_DECODER.name, [{"latents": row[None]} for row in latents])
        return [outputs["image"][0].astype(np.uint8, copy=False) for outputs in images]

    async def encode(self, pictures: Pixels) -> Latents:
        """Moments [B, 2 C, h, w] of pictures [B, H, W, 3]: means and log variances, not scaled yet."""
        moments = await self._run(VAE_ENCODER.name, [{"image": picture[None]} for picture in pictures])
        return np.concatenate([outputs["moments"] for outputs in moments]).astype(np.float32, copy=False)

    def scaled(self, latents: Latents) -> Latents:
        """The VAE's latents as the UNet knows them, with diffusers' roundings on the way."""
        scaling = self.scaling
        if not scaling.std:
            return np.float32(scaling.factor) * latents
        mean, std = (np.array(each, np.float32)[:, None, None] for each in (scaling.mean, scaling.std))
        return (latents - mean) * np.float32(scaling.factor) / std

    async def _run(self, model: str, inputs: list[Tensors]) -> list[Tensors]:
        tasks = [asyncio.create_task(self._infer(self._models[model], tensors)) for tensors in inputs]
        try:
            return list(await asyncio.gather(*tasks))
        finally:
            for task in tasks:  # where one has failed, the others would go on
                task.cancel()

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

"""The upscalers that are registered, by name: each enlarges a picture tile by tile, again where that is not enough."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from functools import partial

import numpy as np

from triptych.checkpoint.families.upscalers import pixels_together, upscale_factor
from triptych.contract import UPSCALER
from triptych.errors import invalid
from triptych_orchestrator.library.catalog import Catalog
from triptych_orchestrator.library.entry import Entry
from triptych_orchestrator.library.upscalers import Pixels, Size, Upscaler
from triptych_orchestrator.pipeline.tiling.calls import answers
from triptych_orchestrator.pipeline.tiling.tiles import Floats, Tiles
from triptych_orchestrator.stages.pool import ReplicaPool
from triptych_orchestrator.stages.triton import Tensors

# Pixels each way, as A1111's; of a network that takes four for one, a multiple of those too.
_TILE = 192


class StageUpscalers:
    """For `Upscalers`: what the catalog has of them at the moment. None makes more than `most_pixels` of a picture."""

    def __init__(self, pool: ReplicaPool, catalog: Catalog, timeout_s: float, most_pixels: int) -> None:
        self._pool, self._catalog, self._timeout_s = pool, catalog, timeout_s
        self._most_pixels = most_pixels

    def __call__(self) -> Iterator[Upscaler]:
        """Those that can be asked for."""
        for entry in self._catalog.entries():
            if entry.checkpoint is not None and entry.checkpoint.family.enlarges:
                yield Upscaler(entry.name, partial(self._enlarge, entry), takes_turn=True, entry=entry)

    async def _enlarge(self, entry: Entry, pixels: Pixels, size: Size, request_id: str) -> Pixels:
        """By the network's own factor, until both extents are reached."""
        async with self._catalog.use(entry) as used:
            factor = upscale_factor(used.opened.components[UPSCALER.name].architecture)
            pixels = await self._once(used, pixels, factor, request_id)
            while factor > 1 and (pixels.shape[1] < size[0] or pixels.shape[0] < size[1]):
                pixels = await self._once(used, pixels, factor, request_id)
        return pixels

    async def _once(self, entry: Entry, pixels: Pixels, factor: int, request_id: str) -> Pixels:
        height, width, _ = pixels.shape
        if height * width * factor**2 > self._most_pixels:
            problem = (
                f"{entry.name!r} would make {width * factor} x {height * factor} pixels of {width} x {height} first"
            )
            raise invalid("upscaler", f"{problem}; this server allows {self._most_pixels} (max_image_pixels)")
        together = pixels_together(entry.opened.components[UPSCALER.name].architecture)
        spare = [(0, -extent % together) for extent in (height, width)]
        whole = np.pad(pixels, [*spare, (0, 0)], mode="edge").transpose(2, 0, 1)
        side = _TILE if max(whole.shape[1:]) > _TILE else max(whole.shape[1:]) * 2
        tiles, strips, above = Tiles(side, side * factor), [], list[Floats]()
        for row in tiles.rows(whole):
            made = await self._made(entry, [{"image": tile.transpose(1, 2, 0)[None]} for tile in row], request_id)
            strip, above = await asyncio.to_thread(tiles.blended, above, made)
            strips.append(_rounded(strip))
        return np.concatenate(strips)[: height * factor, : width * factor]

    async def _made(self, entry: Entry, asked: list[Tensors], request_id: str) -> list[Floats]:
        model = entry.models()[UPSCALER.name]

        async def answer(tensors: Tensors) -> Tensors:
            outputs, _ = await self._pool.run(model, lambda at: at.infer(model, tensors, request_id, self._timeout_s))
            return outputs

        at_once = len(self._pool.holders(model)) or 1
        return [outputs["sample"][0] for outputs in await answers(asked, answer, at_once)]


def _rounded(sample: Floats) -> Pixels:
    """8 bits [H, W, 3] of [3, H, W], nominally in [0, 1]."""
    pixels: Pixels = np.round(np.nan_to_num(np.clip(sample, 0, 1)) * 255).astype(np.uint8)
    return pixels.transpose(1, 2, 0)

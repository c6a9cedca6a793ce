"""A request that brings pictures and asks for them larger: no checkpoint draws, and none is waited for."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import fields

import numpy as np

from triptych._version import __version__
from triptych.errors import invalid
from triptych_orchestrator.jobs.admission import Admission
from triptych_orchestrator.jobs.asked import Asked
from triptych_orchestrator.jobs.events import Picture, Queued, Result
from triptych_orchestrator.jobs.pictures import PictureReader, check_bytes, field_of
from triptych_orchestrator.jobs.tasks.formats import Format, format_of
from triptych_orchestrator.jobs.tasks.hires import check_upscaler
from triptych_orchestrator.jobs.tasks.upscaling import AskedUpscale, Upscale, upscale_of
from triptych_orchestrator.library.upscalers import Pixels, Upscaler, Upscalers, enlarged
from triptych_orchestrator.pipeline.writing.files import Written, write
from triptych_orchestrator.pipeline.writing.made_of import made_of
from triptych_orchestrator.pipeline.writing.pictures import told_json
from triptych_orchestrator.settings import Limits
from triptych_orchestrator.stages.pool import ReplicaPool

# What counts for such a request; all else says how to draw.
_KNOWN = {"request_id", "images", "upscale", "image_format", "quality", "priority", "deadline_seconds", "told"}
# Pictures in memory, each as large as the operator allows.
_MOST_AT_ONCE = 2


def is_only_enlarged(asked: Asked) -> bool:
    """Whether nothing is to be drawn: no prompt, nor a checkpoint that draws from an image alone."""
    return asked.upscale is not None and bool(asked.images) and not asked.prompt and not asked.checkpoint


def check_upscalers(asked: Asked, upscalers: Upscalers) -> None:
    """InvalidArgumentError where a request that draws names one that there is not."""
    check_upscaler(asked.hires, upscalers)
    if asked.upscale:
        upscalers.get("upscale.upscaler", asked.upscale.upscaler_name)


class PictureUpscaler:
    """Filters work at once, a few pictures at a time; for an upscaler that a stage runs, a request takes its turn."""

    def __init__(
        self, pool: ReplicaPool, upscalers: Upscalers, pictures: PictureReader, admission: Admission, limits: Limits
    ) -> None:
        self._pool = pool
        self._upscalers = upscalers
        self._pictures = pictures
        self._admission = admission
        self._limits = limits
        self._at_once = asyncio.Semaphore(_MOST_AT_ONCE)

    async def events(self, asked: Asked) -> AsyncGenerator[Queued | Result, None]:
        """Queued and Result of one request; all of it is checked before."""
        began = time.monotonic()
        _check_fields(asked, self._limits)
        larger = asked.upscale or AskedUpscale()
        kind = format_of(asked.image_format, asked.quality)
        upscaler = self._upscalers.get("upscale.upscaler", larger.upscaler_name)
        with self._admission.preparing():
            sizes = [await self._pictures.size(field_of(index), data) for index, data in enumerate(asked.images)]
        upscales = [upscale_of(larger, size, self._limits) for size in sizes]
        yield Queued(asked.request_id, width=upscales[0].width, height=upscales[0].height)
        async with self._turn(upscaler, asked.priority) as waited_s:
            pictures, warnings = [], list[str]()
            for index, (size, upscale) in enumerate(zip(sizes, upscales, strict=True)):
                rgb, told = await self._pictures.pixels(field_of(index), asked.images[index], *size)
                pixels = np.frombuffer(rgb, np.uint8).reshape(size[1], size[0], 3)
                pixels = await enlarged(pixels, upscaler, (upscale.width, upscale.height), asked.request_id)
                request = await self._told(asked, index, kind, upscaler)
                written = await asyncio.to_thread(_written, pixels, kind, upscale, request)
                pictures.append(Picture(written.data, kind.name, 0, upscale.width, upscale.height))
                warnings += [*told, *written.warnings]
        yield Result(
            request_id=asked.request_id,
            images=pictures,
            warnings=list(dict.fromkeys(warnings)),
            total_seconds=time.monotonic() - began,
            queue_seconds=waited_s,
        )

    async def _told(self, asked: Asked, index: int, kind: Format, upscaler: Upscaler) -> str:
        """The request for one of its pictures alone, and what enlarged it."""
        own = {"image_format": kind.name, "images": [asked.told["images"][index]]}
        networks = {upscaler.name: upscaler.entry} if upscaler.entry else {}
        models = [model for entry in networks.values() for model in entry.models().values()]
        return told_json({**asked.told, **own}, None, (await made_of(networks, self._pool.abouts(models))).told({}))

    @asynccontextmanager
    async def _turn(self, upscaler: Upscaler, priority: int) -> AsyncIterator[float]:
        """The seconds waited."""
        if upscaler.takes_turn:
            async with self._admission.turn(priority) as waited_s:
                yield waited_s
            return
        began = time.monotonic()
        with self._admission.preparing():
            async with self._at_once:
                yield time.monotonic() - began


def _check_fields(asked: Asked, limits: Limits) -> None:
    nothing = Asked()
    for name in (each.name for each in fields(Asked) if each.name not in _KNOWN):
        if getattr(asked, name) != getattr(nothing, name):
            problem = "says how to draw, and nothing is drawn without a prompt or a checkpoint; leave it out"
            raise invalid(_field(asked, name), problem)
    if len(asked.images) > limits.max_num_images_per_prompt:
        raise invalid("images", f"must be at most {limits.max_num_images_per_prompt}, not {len(asked.images)}")
    check_bytes(asked.images, limits)


def _field(asked: Asked, name: str) -> str:
    """The request's own, of what holds several of them."""
    if name == "micro_conditions":
        return next(iter(asked.micro_conditions))
    return asked.variation.field if name == "variation" else name


def _written(pixels: Pixels, kind: Format, upscale: Upscale, request: str) -> Written:
    told = {**upscale.infotext, "Version": f"Triptych {__version__}"}
    return write(pixels, kind, ", ".join(f"{name}: {value}" for name, value in told.items()), request)

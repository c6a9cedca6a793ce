"""Pictures made for the images API, as one answer or as a stream of partial images."""

from __future__ import annotations

import asyncio
import base64
import io
import math
import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from fastapi import Request, Response
from fastapi.responses import JSONResponse
from PIL import Image

from triptych.sdk.events import Result
from triptych_gateway.caller import Caller
from triptych_gateway.gateway import Gateway
from triptych_gateway.openai.addresses import address_of
from triptych_gateway.openai.telling import tell
from triptych_gateway.rest.answers import told_error
from triptych_gateway.rest.events import event, event_stream
from triptych_gateway.rest.making import drawn
from triptych_gateway.task import Task

# diffusers' default, for how often a preview is to come where nobody says how many steps.
_STEPS = 50
# Nothing is counted in tokens here.
_USAGE = {
    "input_tokens": 0, "output_tokens": 0, "total_tokens": 0,
    "input_tokens_details": {"image_tokens": 0, "text_tokens": 0},
}  # fmt: skip


@dataclass(frozen=True)
class Drawing:
    """One call: what is asked for, and how the answer is to be."""

    gateway: Gateway
    caller: Caller
    request: Request
    prompt: str
    parameters: dict[str, Any]
    body: Any
    event: str  # "image_generation" or "image_edit"

    async def answer(self) -> Response:
        """The pictures, or a stream that brings them."""
        if self.body.stream:
            return event_stream(self._events())
        result = await self.gateway.tasks.run(self.caller, self._work, label=self.prompt)
        return JSONResponse(await self._told(result))

    async def _work(self, task: Task[Result]) -> Result:
        return await task.generate(self.prompt, **self.parameters)

    async def _told(self, result: Result) -> dict[str, Any]:
        rows: list[dict[str, Any]] = await (self._addresses(result) if self._wants_url else self._base64(result))
        data = [row | {"seed": seed} for row, seed in zip(rows, result.seeds, strict=True)]
        width, height = result.images[0].size
        looks = self._looks(result.image_format, width, height)
        return {"created": int(time.time()), "data": data, **looks, "warnings": result.warnings}

    @property
    def _wants_url(self) -> bool:
        return bool(self.body.response_format == "url")

    async def _addresses(self, result: Result) -> list[dict[str, Any]]:
        checkpoint = self.parameters.get("checkpoint") or ""
        kept = await self.gateway.pictures.keep(self.caller, drawn(result, self.prompt, checkpoint))
        return [{"url": address_of(self.request, self.gateway, self.caller, picture)} for picture in kept]

    async def _base64(self, result: Result) -> list[dict[str, Any]]:
        return await asyncio.to_thread(lambda: [{"b64_json": base64.b64encode(f).decode()} for f in result.files])

    def _looks(self, image_format: str, width: int, height: int) -> dict[str, Any]:
        return {
            "background": "opaque",
            "output_format": image_format,
            "quality": self.body.quality or "auto",
            "size": f"{width}x{height}",
        }

    async def _events(self) -> AsyncGenerator[str, None]:
        wanted = self.body.partial_images or 0
        if wanted:
            steps = self.parameters.get("num_inference_steps") or _STEPS
            self.parameters["preview_every_steps"] = max(1, math.ceil(steps / (wanted + 1)))
        task = self.gateway.tasks.start(self.caller, self._work, label=self.prompt)
        sent, preview = 0, None
        try:
            async for _ in task.changes():
                if sent < wanted and task.preview is not None and task.preview is not preview and not task.is_done:
                    preview = task.preview
                    yield await self._partial(task, sent)
                    sent += 1
            for each in await self._last(task):
                yield each
        finally:
            if not task.is_done:
                task.cancel()
            task.let_go()

    async def _partial(self, task: Task[Result], index: int) -> str:
        image_format = self.body.output_format or "png"
        encoded = await asyncio.to_thread(_encoded, task.preview, image_format)
        width, height = (task.queued.width, task.queued.height) if task.queued else task.preview.size
        looks = self._looks(image_format, width, height)
        return self._event("partial_image", {"b64_json": encoded, "partial_image_index": index, **looks})

    async def _last(self, task: Task[Result]) -> list[str]:
        if (error := told_error(task)) is not None:
            return [event("error", tell(error, error.http_status))]
        result = await task.value()
        files = await self._base64(result)
        sizes = [self._looks(result.image_format, *image.size) for image in result.images]
        return [
            self._event("completed", file | looks | {"usage": _USAGE}) for file, looks in zip(files, sizes, strict=True)
        ]

    def _event(self, name: str, data: dict[str, Any]) -> str:
        kind = f"{self.event}.{name}"
        return event(kind, {"type": kind, "created_at": int(time.time()), **data})


def _encoded(image: Image.Image, image_format: str) -> str:
    stream = io.BytesIO()
    image.convert("RGB").save(stream, image_format.upper())
    return base64.b64encode(stream.getvalue()).decode()

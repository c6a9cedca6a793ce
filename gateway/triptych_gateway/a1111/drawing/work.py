"""A call's jobs, one after the other, and what is answered of them."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from triptych.errors import CancelledError, invalid
from triptych_gateway.a1111.drawing.info import Picture, info_of
from triptych_gateway.a1111.drawing.keeping import Keeping
from triptych_gateway.a1111.drawing.parameters import Asked
from triptych_gateway.a1111.images import encoded
from triptych_gateway.a1111.words import in_their_words
from triptych_gateway.caller import Caller
from triptych_gateway.gateway import Gateway
from triptych_gateway.task import Task


async def drawn(gateway: Gateway, caller: Caller, asked: Asked, label: str, task_id: str | None) -> list[Picture]:
    """What all jobs made; of an interrupted call what was finished by then, of a skipped job nothing."""
    pictures: list[Picture] = []  # not the task's value: tasks are remembered, and pictures are large

    async def work(task: Task[None]) -> None:
        for iteration in range(asked.jobs):
            if task.is_interrupted:
                return
            pictures.extend(await _made(task, asked, iteration))

    if task_id and (known := gateway.tasks.get(caller, task_id)) and not known.is_done:
        raise invalid("force_task_id", f"{task_id!r} is running; choose another")
    with in_their_words(asked.words):
        await gateway.tasks.run(caller, work, task_id=task_id, jobs=asked.jobs, label=label)
    return pictures


async def _made(task: Task[None], asked: Asked, iteration: int) -> list[Picture]:
    task.is_skipped = False
    try:
        result = await task.generate(asked.prompt, **asked.job(iteration))
    except CancelledError:
        if task.is_skipped:
            return []
        raise
    first = iteration * asked.batch_size
    made = enumerate(zip(result.files, result.images, strict=True), first)
    return await asyncio.to_thread(lambda: [Picture.of(file, index, image.size) for index, (file, image) in made])


def answer(keeping: Keeping, asked: Asked, pictures: Sequence[Picture], maps: Sequence[bytes]) -> dict[str, Any]:
    """The response's fields, once what is to be kept is saved; ControlNets' maps stand behind the pictures."""
    request = keeping.request
    together = keeping.keep(asked, pictures)
    info = info_of(
        request.model_dump(exclude={"init_images", "mask"}),
        asked.seeds,
        asked.subseeds,
        pictures,
        asked.checkpoint,
        grids=1 if together else 0,
        sampler_name=asked.sampler,
        clip_skip=keeping.options.CLIP_stop_at_last_layers,
    )
    files = [*([together] if together else []), *(picture.file for picture in pictures), *maps]
    images = [encoded(file) for file in files] if request.send_images else []
    return {"images": images, "parameters": request.echo, "info": info}

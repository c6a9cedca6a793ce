"""The preprocessors that there are, by name, and the threads that they work in.

preprocessors = Preprocessors()
edges = await preprocessors.run(named("preprocessor", "canny"), pixels, settings)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from triptych.checkpoint.reading import Readers
from triptych.errors import FailedPreconditionError, invalid
from triptych_orchestrator.pixels.preprocessors import WEIGHTED, WEIGHTLESS, Pixels, Preprocessor, Settings

Value = TypeVar("Value")

# Pictures that are prepared at a time, besides those that are decoded.
_MOST_THREADS = 2


_ALL = (*WEIGHTLESS, *WEIGHTED)
_BY_NAME = {name: each for each in _ALL for name in (each.name, *each.aliases)}


def named(field: str, name: str) -> Preprocessor:
    """By its name or another that it answers to; an error about the field where there is none, or it cannot work."""
    if found := _BY_NAME.get(name):
        if found.missing:
            raise FailedPreconditionError(f"{field}: {found.name} lacks {found.missing}", field=field)
        return found
    raise invalid(field, f"{name!r} is no preprocessor; there are {', '.join(each.name for each in WEIGHTLESS)}")


class Preprocessors:
    """All of them, in a few threads of their own: the loop's never works at a picture."""

    def __init__(self) -> None:
        self._threads = Readers(_MOST_THREADS)

    def all(self) -> tuple[Preprocessor, ...]:
        """As they are offered."""
        return _ALL

    async def run(self, preprocessor: Preprocessor, pixels: Pixels, settings: Settings) -> Pixels:
        """What it makes of them."""
        return await self.work(lambda: preprocessor.run(pixels, settings))

    async def work(self, do: Callable[[], Value]) -> Value:
        """In one of the threads."""
        return await asyncio.wrap_future(self._threads.submit(do))

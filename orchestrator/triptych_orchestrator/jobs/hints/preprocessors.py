"""The preprocessors that there are, by name, and the threads that they work in.

preprocessors = Preprocessors(networks)
edges = await preprocessors.run(preprocessors.ready("preprocessor", "canny"), pixels, settings)
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Iterable
from typing import TypeVar

from triptych.checkpoint.reading import Readers
from triptych.errors import FailedPreconditionError, invalid
from triptych_orchestrator.library.entry import Entry
from triptych_orchestrator.library.networks import Networks, normalization, own_size
from triptych_orchestrator.pixels.preprocessors import (
    WEIGHTED,
    WEIGHTLESS,
    Answer,
    Ask,
    Looking,
    Network,
    Pixels,
    Preprocessor,
    Settings,
)

Value = TypeVar("Value")

# Pictures that are prepared at a time, besides those that are decoded; and that networks look at.
_MOST_THREADS = 2


_ALL = (*WEIGHTLESS, *WEIGHTED)
_BY_NAME = {name: each for each in _ALL for name in (each.name, *each.aliases)}


def named(field: str, name: str) -> Preprocessor:
    """By its name or another that it answers to; an error about the field where there is none."""
    if found := _BY_NAME.get(name):
        return found
    raise invalid(field, f"{name!r} is no preprocessor; there are {', '.join(each.name for each in _ALL)}")


class Preprocessors:
    """All of them, in a few threads of their own: the loop's never works at a picture.

    Those with networks have a stage run them; without `networks` none of them can.
    """

    def __init__(self, networks: Networks | None = None) -> None:
        self._threads = Readers(_MOST_THREADS)
        self._networks = networks or Networks()
        self._at_once = asyncio.Semaphore(_MOST_THREADS)

    def all(self) -> list[tuple[Preprocessor, str]]:
        """As they are offered, each with what it lacks."""
        there = self._networks.entries()
        return [(each, each.lacking(there)) for each in _ALL]

    def ready(self, field: str, name: str) -> Preprocessor:
        """By name likewise, and its networks are registered."""
        found = named(field, name)
        if lacking := found.lacking(self._networks.entries()):
            raise FailedPreconditionError(f"{field}: {found.name} lacks {lacking}", field=field)
        return found

    def networks(self, names: Iterable[str]) -> dict[str, Entry]:
        """Those of preprocessors of these names, by their own."""
        there = self._networks.entries()
        asked = (network.name for name in names if (each := _BY_NAME.get(name)) for network in each.networks)
        return {name: there[name] for name in asked if name in there}

    def looked_at(self, preprocessor: Preprocessor, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height in which its networks see what is worked at in that size, the largest."""
        sizes = [network.size(size, own_size(self._entry(network))) for network in preprocessor.networks]
        return max(sizes, key=math.prod, default=size)

    async def run(self, preprocessor: Preprocessor, pixels: Pixels, settings: Settings, request_id: str = "") -> Pixels:
        """What it makes of them."""
        if not preprocessor.networks:
            return await self.work(lambda: preprocessor.run(pixels, settings))
        looking = preprocessor.looking(pixels, settings)
        found = await self.work(lambda: _gone_on(looking))
        while isinstance(found, Ask):
            async with self._at_once:
                found = await self._answered(looking, found, request_id)
        return found

    async def _answered(self, looking: Looking, ask: Ask, request_id: str) -> Ask | Pixels:
        """What is asked next, or what is drawn."""
        entry, network = self._entry(ask.network), ask.network
        wanted = network.normalizing(**normalization(entry))
        image = await self.work(lambda: wanted.seen(ask.pixels, own_size(entry)))
        maps = await self._networks.maps(
            entry, image, has_classes=network.has_classes, is_exact=network.is_exact, request_id=request_id
        )
        return await self.work(lambda: _gone_on(looking, Answer(maps, (image.shape[2], image.shape[1]))))

    async def work(self, do: Callable[[], Value]) -> Value:
        """In one of the threads."""
        return await asyncio.wrap_future(self._threads.submit(do))

    def _entry(self, network: Network) -> Entry:
        """FailedPreconditionError where it was unregistered since."""
        if entry := self._networks.entries().get(network.name):
            return entry
        raise FailedPreconditionError(f"the network {network.name} was unregistered meanwhile")


def _gone_on(looking: Looking, answer: Answer | None = None) -> Ask | Pixels:
    """What it asks next, or what it ends with: no future takes a StopIteration."""
    try:
        return next(looking) if answer is None else looking.send(answer)
    except StopIteration as ended:
        drawn: Pixels = ended.value
        return drawn

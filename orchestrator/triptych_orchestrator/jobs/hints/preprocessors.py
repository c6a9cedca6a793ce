"""The preprocessors that there are, by name, and the threads that they work in.

preprocessors = Preprocessors(networks)
edges = await preprocessors.run(preprocessors.ready("preprocessor", "canny"), pixels, settings)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TypeVar

from triptych.checkpoint.reading import Readers
from triptych.errors import FailedPreconditionError, invalid
from triptych_orchestrator.library.entry import Entry
from triptych_orchestrator.library.networks import Networks, normalization, own_size
from triptych_orchestrator.pixels.preprocessors import WEIGHTED, WEIGHTLESS, Network, Pixels, Preprocessor, Settings

Value = TypeVar("Value")

# Pictures that are prepared at a time, besides those that are decoded; and that networks look at.
_MOST_THREADS = 2


_ALL = (*WEIGHTLESS, *WEIGHTED)
_BY_NAME = {name: each for each in _ALL for name in (each.name, *each.aliases)}


def named(field: str, name: str) -> Preprocessor:
    """By its name or another that it answers to; an error about the field where there is none, or none runs it."""
    if found := _BY_NAME.get(name):
        if found.missing and not found.network:
            raise _lacking(field, found)
        return found
    raise invalid(field, f"{name!r} is no preprocessor; there are {', '.join(each.name for each in WEIGHTLESS)}")


class Preprocessors:
    """All of them, in a few threads of their own: the loop's never works at a picture.

    Those with a network have a stage run it; without `networks` none of them can.
    """

    def __init__(self, networks: Networks | None = None) -> None:
        self._threads = Readers(_MOST_THREADS)
        self._networks = networks or Networks()
        self._at_once = asyncio.Semaphore(_MOST_THREADS)

    def all(self) -> tuple[Preprocessor, ...]:
        """As they are offered."""
        there = self._networks.entries()
        return tuple(
            replace(each, missing="") if each.network and each.network.name in there else each for each in _ALL
        )

    def ready(self, field: str, name: str) -> Preprocessor:
        """Likewise, and its network is registered."""
        found = named(field, name)
        if found.network and found.network.name not in self._networks.entries():
            raise _lacking(field, found)
        return found

    def networks(self, names: Iterable[str]) -> dict[str, Entry]:
        """Those of preprocessors of these names, by their own."""
        there = self._networks.entries()
        asked = (each.network for name in names if (each := _BY_NAME.get(name)))
        return {network.name: there[network.name] for network in asked if network and network.name in there}

    def looked_at(self, preprocessor: Preprocessor, size: tuple[int, int]) -> tuple[int, int]:
        """Width and height in which its network sees what is worked at in that size."""
        entry = self._entry(preprocessor.network) if preprocessor.network else None
        return preprocessor.network.size(size, own_size(entry)) if preprocessor.network and entry else size

    async def run(self, preprocessor: Preprocessor, pixels: Pixels, settings: Settings, request_id: str = "") -> Pixels:
        """What it makes of them."""
        if not (network := preprocessor.network):
            return await self.work(lambda: preprocessor.run(pixels, settings))
        entry = self._entry(network)
        async with self._at_once:
            begun = await self.work(lambda: preprocessor.begun(pixels, settings))
            wanted = network.normalizing(**normalization(entry))
            image = await self.work(lambda: wanted.seen(begun, own_size(entry)))
            maps = await self._networks.maps(entry, image, has_classes=network.has_classes, request_id=request_id)
            return await self.work(lambda: preprocessor.drawn(maps, begun, pixels, settings))

    async def work(self, do: Callable[[], Value]) -> Value:
        """In one of the threads."""
        return await asyncio.wrap_future(self._threads.submit(do))

    def _entry(self, network: Network) -> Entry:
        """FailedPreconditionError where it was unregistered since."""
        if entry := self._networks.entries().get(network.name):
            return entry
        raise FailedPreconditionError(f"the network {network.name} was unregistered meanwhile")


def _lacking(field: str, preprocessor: Preprocessor) -> FailedPreconditionError:
    return FailedPreconditionError(f"{field}: {preprocessor.name} lacks {preprocessor.missing}", field=field)

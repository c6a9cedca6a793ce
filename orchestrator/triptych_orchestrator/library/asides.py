"""Checkpoints on other engines than they are registered with, for requests that ask for it; no list shows them."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace

from triptych.contract.engines import ENGINES, check_engine_name, parse_engines
from triptych_orchestrator.library.entry import Entry
from triptych_orchestrator.library.loading import Loader
from triptych_orchestrator.library.registered import Registered


class Asides:
    """By checkpoint and engine; each is loaded by the first request that asks for it, and follows its checkpoint."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader
        self._entries: dict[tuple[str, str], Entry] = {}

    def get(self, entry: Entry, engine: str) -> Entry:
        """The entry itself where that engine is what it is registered with, or none is asked for."""
        if not engine or set(parse_engines(entry.engine).values()) == {check_engine_name(engine)}:
            return entry
        key = entry.name, engine
        if key not in self._entries:
            self._entries[key] = _aside(entry, engine)
        return self._entries[key]

    def current(self, aside: Entry) -> Entry | None:
        """What now stands for it; None once its checkpoint was unregistered."""
        return self._entries.get((aside.name, aside.aside))

    async def follow(self, entry: Entry) -> None:
        """Frees them, once their requests have ended; the next ones load them as the checkpoint is registered now."""
        for aside in self._of(entry):
            async with aside.lock:
                await self._loader.unload(aside)
                vars(aside).update(asdict(_told(entry, aside.aside)))

    async def forget(self, entry: Entry) -> None:
        """Frees them for good."""
        await self.follow(entry)
        for aside in self._of(entry):
            self._entries.pop((aside.name, aside.aside), None)

    async def clear(self, entry: Entry) -> None:
        """Has the stages let go of what an earlier run of this server has left in them."""
        left = [_aside(entry, engine) for engine in ENGINES if (entry.name, engine) not in self._entries]
        await asyncio.gather(*map(self._loader.withdraw, left))

    def _of(self, entry: Entry) -> list[Entry]:
        return [aside for (name, _), aside in self._entries.items() if name == entry.name]


def _told(entry: Entry, engine: str) -> Registered:
    return replace(entry.registered, engine=engine)


def _aside(entry: Entry, engine: str) -> Entry:
    return Entry.of(entry.name, entry.path, _told(entry, engine), entry.default_engine, aside=engine)

"""Checkpoints' SHA-256, one after the other behind everything else; one that is waited for is the next."""

from __future__ import annotations

import asyncio
import logging

from triptych.checkpoint.identity.digests import Digests, checkpoint_digests
from triptych.checkpoint.reading import Readers
from triptych_orchestrator.library.entry import Entry

logger = logging.getLogger("triptych.catalog")


class Hashes:
    """One thread, which nobody waits for at the end."""

    def __init__(self) -> None:
        self._readers = Readers(1)

    def begin(self, entry: Entry) -> None:
        """Has an open entry's computed, if it is not yet; `entry.digests` waits for it."""
        if entry.checkpoint is None or (entry.hashing and not _has_failed(entry.hashing)):
            return
        source = entry.checkpoint.source
        computing = self._readers.submit(lambda: checkpoint_digests(source))
        entry.hashing, entry.hurry_hash = asyncio.wrap_future(computing), lambda: self._readers.hurry(computing)
        entry.hashing.add_done_callback(lambda done: _report(entry.name, done))


def _has_failed(hashing: asyncio.Future[Digests]) -> bool:
    return hashing.done() and (hashing.cancelled() or hashing.exception() is not None)


def _report(name: str, done: asyncio.Future[Digests]) -> None:
    if not done.cancelled() and (error := done.exception()):
        logger.warning("no hash", extra={"checkpoint": name, "error": str(error)})

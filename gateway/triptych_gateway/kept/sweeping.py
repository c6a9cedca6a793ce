"""Deletes what was kept for long enough, again and again while the gateway runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Protocol

logger = logging.getLogger("triptych.gateway")

EVERY_S = 60.0


class Swept(Protocol):
    """What has something to delete."""

    async def sweep(self) -> None:
        """Deletes it."""


@asynccontextmanager
async def sweeping(*folders: Swept) -> AsyncGenerator[None, None]:
    """Sweeps meanwhile."""
    task = asyncio.create_task(_sweep(folders))
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _sweep(folders: tuple[Swept, ...]) -> None:
    while True:
        for folder in folders:
            try:
                await folder.sweep()
            except OSError as error:
                logger.warning("what was kept cannot be deleted", extra={"problem": str(error)})
        await asyncio.sleep(EVERY_S)

"""Work that goes on when whoever waits for it leaves: others may wait for the same."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

Value = TypeVar("Value")


async def shielded(work: Coroutine[Any, Any, Value]) -> Value:
    """What the work returns or raises; with nobody there any more its failure is no news, for the state tells it."""
    task = asyncio.create_task(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return await asyncio.shield(task)

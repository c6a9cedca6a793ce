"""Calls of a stage side by side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from triptych_orchestrator.stages.triton import Tensors

Answer = Callable[[Tensors], Coroutine[Any, Any, Tensors]]


async def answers(asked: Sequence[Tensors], answer: Answer, at_once: int | None = None) -> list[Tensors]:
    """All answers in order, no more calls at a time than that; once one fails the others are cancelled."""
    turns = asyncio.Semaphore(at_once or len(asked))

    async def in_turn(tensors: Tensors) -> Tensors:
        async with turns:
            return await answer(tensors)

    tasks = [asyncio.create_task(in_turn(tensors)) for tensors in asked]
    try:
        return list(await asyncio.gather(*tasks))
    finally:
        for task in tasks:
            task.cancel()

from __future__ import annotations

import asyncio
import gc

import pytest

from triptych.errors import UnavailableError
from triptych_orchestrator.shielded import shielded


async def test_its_result_is_passed_on() -> None:
    assert await shielded(asyncio.sleep(0, 7)) == 7


async def test_a_failure_that_nobody_waits_for_is_no_news(caplog: pytest.LogCaptureFixture) -> None:
    go, ended = asyncio.Event(), asyncio.Event()

    async def work() -> None:
        try:
            await go.wait()
            raise UnavailableError("no replica")
        finally:
            ended.set()

    stays, leaves = (asyncio.create_task(shielded(work())) for _ in range(2))
    await asyncio.sleep(0)
    leaves.cancel()
    await asyncio.wait({leaves})
    go.set()
    with pytest.raises(UnavailableError):
        await stays
    await ended.wait()
    await asyncio.sleep(0)
    gc.collect()
    assert not caplog.records

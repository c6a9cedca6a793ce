"""A gateway that is told to stop: a process of its own before the session's orchestrator."""

from __future__ import annotations

import asyncio
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import Served
from tests.e2e.serving import wait_for
from triptych.embedded.ports import free_ports

MEDIUM: dict[str, Any] = {"prompt": "a dot", "width": 128, "height": 128, "steps": 25, "seed": 3}
ENDLESS = {**MEDIUM, "width": 256, "height": 256, "steps": 200}
CHECKPOINT = {"override_settings": {"sd_model_checkpoint": "sd1"}}


@asynccontextmanager
async def gateway(
    served: Served, state: Path, *options: str
) -> AsyncGenerator[tuple[Process, httpx.AsyncClient], None]:
    (port,) = free_ports("127.0.0.1", 1)
    command = [sys.executable, "-m", "triptych_gateway", "--orchestrator", served.stack.address]
    command += ["--port", str(port), "--state-dir", str(state), *options]
    log = (state / "log").open("wb")
    process = await asyncio.create_subprocess_exec(*command, stderr=log)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, timeout=60) as http:
        try:
            while True:
                try:
                    await http.get("/health")
                    break
                except httpx.ConnectError:
                    assert process.returncode is None
                    await asyncio.sleep(0.05)
            yield process, http
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            log.close()


async def draws(http: httpx.AsyncClient) -> None:
    """Returns once a step is done."""
    while (await http.get("/sdapi/v1/progress")).json()["state"]["sampling_step"] < 1:  # noqa: ASYNC110
        await asyncio.sleep(0.05)


async def ended(process: Process) -> int:
    return await asyncio.wait_for(process.wait(), 20)


async def test_what_runs_ends_well_and_what_is_new_is_refused(served: Served, tmp_path: Path) -> None:
    async with gateway(served, tmp_path) as (process, http):
        running = asyncio.create_task(http.post("/sdapi/v1/txt2img", json={**MEDIUM, **CHECKPOINT}))
        await draws(http)
        process.send_signal(signal.SIGTERM)
        while True:  # the signal is on its way
            refused = await http.post("/sdapi/v1/txt2img", json={**MEDIUM, **CHECKPOINT, "steps": 1})
            if refused.status_code != 200:
                break
        assert refused.status_code == 503 and int(refused.headers["retry-after"]) > 0
        assert "stopping" in refused.json()["detail"]
        assert (await http.get("/sdapi/v1/progress")).status_code == 200
        assert (await running).json()["images"]
        assert await ended(process) == 0


@pytest.mark.parametrize("signals", [1, 2])
async def test_what_does_not_end_in_time_is_told_so(served: Served, tmp_path: Path, signals: int) -> None:
    async with gateway(served, tmp_path, "--drain-timeout", "0.3" if signals == 1 else "60") as (process, http):
        running = asyncio.create_task(http.post("/sdapi/v1/txt2img", json={**ENDLESS, **CHECKPOINT}))
        await draws(http)
        for _ in range(signals):
            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.2)
        assert await ended(process) == 0
        if signals == 1:
            answer = await running
            assert answer.status_code == 503 and "did not end in time" in answer.json()["detail"]
        else:
            await asyncio.wait({running})


async def test_a_stream_of_events_that_would_never_end_keeps_nothing_up(served: Served, tmp_path: Path) -> None:
    async with gateway(served, tmp_path) as (process, http), http.stream("GET", "/api/v1/tasks/events") as events:
        assert events.status_code == 200
        process.send_signal(signal.SIGTERM)
        async for _ in events.aiter_bytes():  # it ends well: nothing is raised
            pass
        assert await ended(process) == 0
    assert "Traceback" not in (tmp_path / "log").read_text()


async def test_an_id_goes_through_to_the_orchestrators_log(served: Served, tmp_path: Path) -> None:
    async with gateway(served, tmp_path) as (_, http):
        body, named = {**MEDIUM, **CHECKPOINT, "steps": 1}, {"X-Request-ID": "mine-77"}
        asked = http.post("/sdapi/v1/txt2img", json=body, headers=named)
        assert (await asked).headers["x-request-id"] == "mine-77"
        assert served.stack.run_dir
        log = served.stack.run_dir / "orchestrator.log"
        # Both are written to once the answer is out, and the gateway is killed in the end.
        wait_for(lambda: "mine-77." in log.read_text())
        wait_for(lambda: '"mine-77"' in (tmp_path / "log").read_text())

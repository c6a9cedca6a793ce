"""The gateway's own application behind its door and the real server; no orchestrator is asked."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.gateway.door.serving import listening
from triptych.keys import KeyFile
from triptych.keys.entry import Entry
from triptych_gateway.app import ANSWER, create_app
from triptych_gateway.caller import CallerOf
from triptych_gateway.door.settings import DoorSettings
from triptych_gateway.settings import Settings

At = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def credentials(tmp_path: Path) -> Path:
    """Ann's, whose password is known."""
    file = KeyFile(tmp_path / "credentials")
    file.put(Entry.with_password("ann", "correct horse"))
    return file.path


@pytest.fixture
def door(tmp_path: Path) -> At:
    """A client of a gateway with some settings of its door; what each API knows of a caller is at PREFIX/caller."""

    @asynccontextmanager
    async def at(**settings: Any) -> AsyncGenerator[httpx.AsyncClient, None]:
        app = create_app(replace(Settings("127.0.0.1:1", tmp_path / "state"), door=DoorSettings(**settings)))

        async def caller(caller: CallerOf) -> str:
            return caller.scope

        async def size(body: dict[str, str]) -> int:
            return sum(map(len, body.values()))

        for prefix in ("/sdapi/v1", "/v1", "/api/v1"):
            app.get(f"{prefix}/caller")(caller)
            app.post(f"{prefix}/size")(size)
        async with (
            listening(app.state.door.before(app, ANSWER)) as port,
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client,
        ):
            yield client

    return at

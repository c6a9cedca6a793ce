from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import pytest

from tests.sdk.conftest import nowhere, server
from tests.sdk.fake_server import FakeServer
from triptych.cli.main import main

__all__ = ["nowhere", "server"]

Triptych: TypeAlias = Callable[..., int]


@pytest.fixture
def triptych(server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> Triptych:
    """Runs the command against the fake server; returns the exit code."""
    monkeypatch.setenv("TRIPTYCH_ADDRESS", server.address)
    return lambda *argv: main(argv)

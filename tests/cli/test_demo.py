"""The command that starts a stack of its own, with the stack replaced."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import triptych
from tests.sdk.fake_server import FakeServer
from triptych.cli.main import main
from triptych.sdk import Client


def test_demo(
    server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @contextmanager
    def local() -> Iterator[Client]:
        with Client(server.address) as client:
            yield client

    monkeypatch.setattr(triptych, "local", local, raising=False)
    monkeypatch.chdir(tmp_path)
    assert main(["demo", "--seed", "7"]) == 0
    out, err = capsys.readouterr()
    assert out == "triptych-demo.png\n"
    assert "ready after" in err and "seed 7: 2.5 s" in err
    assert server.requests[0].prompt == "a large blue star on a yellow background"
    assert (tmp_path / "triptych-demo.png").exists()

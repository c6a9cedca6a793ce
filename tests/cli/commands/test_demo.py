"""The command that starts a stack of its own: with the stack replaced, and as it is."""

from __future__ import annotations

import os
import subprocess
import sys
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


def test_the_demo_needs_no_home_and_leaves_its_picture_alone(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    work, scratch = tmp_path / "work", tmp_path / "scratch"
    work.mkdir()
    scratch.mkdir()
    environment = {**os.environ, "HOME": str(tmp_path / "file" / "home"), "TMPDIR": str(scratch)}
    environment.pop("TRIPTYCH_CACHE_DIR", None)
    command = [sys.executable, "-m", "triptych.cli.main", "demo", "--num-inference-steps", "1", "-o", "demo.png"]
    done = subprocess.run(command, cwd=work, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    assert [path.name for path in work.iterdir()] == ["demo.png"]
    assert [path.name for path in scratch.iterdir()] == []

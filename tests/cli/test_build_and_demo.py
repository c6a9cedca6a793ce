"""The two commands that start no client of their own, with what they call replaced."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import triptych
from tests.sdk.fake_server import FakeServer
from triptych.cli.main import main
from triptych.sdk import Client


def test_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def build_checkpoint(path: Path, cache_dir: Path, progress: Callable[[str], None]) -> list[Path]:
        progress(f"exporting {path.name}")
        return [cache_dir / "unet.onnx"]

    fake = SimpleNamespace(build_checkpoint=build_checkpoint)
    monkeypatch.setitem(sys.modules, "triptych.engine.build", fake)
    (tmp_path / "tiny").mkdir()
    assert main(["build", str(tmp_path / "tiny"), "--cache-dir", str(tmp_path / "cache")]) == 0
    assert capsys.readouterr() == (f"{tmp_path}/cache/unet.onnx\n", "exporting tiny\n")
    monkeypatch.setenv("TRIPTYCH_CACHE_DIR", "/elsewhere")
    assert main(["build", str(tmp_path / "tiny"), "--quiet"]) == 0
    assert capsys.readouterr() == ("/elsewhere/unet.onnx\n", "")


def test_build_of_nothing_is_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build", "/nowhere"]) == 2
    assert capsys.readouterr().err == "triptych: path: /nowhere is not a directory\n"


def test_build_without_its_packages_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Missing(ModuleType):
        def __getattr__(self, name: str) -> object:
            raise ModuleNotFoundError("No module named 'onnx'", name="onnx")

    monkeypatch.setitem(sys.modules, "triptych.engine.build", Missing("triptych.engine.build"))
    assert main(["build", str(tmp_path)]) == 8
    assert "needs the module 'onnx'; install it: pip install 'triptych[server,torch]'" in capsys.readouterr().err


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

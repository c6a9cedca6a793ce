"""The examples run as they stand, against real servers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from tests.conftest import Served
from tests.sdk.conftest import dead_proxy, nowhere

__all__ = ["dead_proxy", "nowhere"]

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name: str, *arguments: str, folder: Path) -> str:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_sdk(tmp_path: Path) -> None:
    output = run("sdk.py", folder=tmp_path)
    assert "4 stars" in output
    names = {path.name for path in tmp_path.glob("*.png")}
    assert {
        "circle-0.png",
        "circle-1.png",
        "star-blue.png",
        "triangle-step-5.png",
        "star-from-circle.png",
        "arrow.png",
    } <= names
    assert size_of(tmp_path / "circle-0.png") == (128, 128)


@pytest.mark.usefixtures("dead_proxy")
@pytest.mark.parametrize("checkpoint", [["sd1"], []], ids=["named", "one of several"])
def test_raw_grpc(served: Served, checkpoint: list[str], tmp_path: Path) -> None:
    output = run("raw_grpc.py", served.stack.address, *checkpoint, folder=tmp_path)
    assert "INVALID_ARGUMENT" in output
    assert "'field': 'width'" in output
    assert size_of(tmp_path / "square.png") == (64, 64)


@pytest.mark.usefixtures("dead_proxy")
@pytest.mark.parametrize("checkpoint", [["sd1"], []], ids=["named", "one of several"])
def test_one_stage(served: Served, checkpoint: list[str], tmp_path: Path) -> None:
    output = run("one_stage.py", served.stack.address, *checkpoint, folder=tmp_path)
    assert "by key alone the same: True" in output

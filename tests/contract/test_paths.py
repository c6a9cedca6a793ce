"""Paths as text in a Python whose file names are ASCII, which is what Triton's stub starts, and in this one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from triptych.contract.paths import path_from_text, text_from_path, told_path
from triptych.demo import checkpoint_path
from triptych.errors import InvalidArgumentError

ASCII = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0", "PYTHONIOENCODING": "utf-8"}
READ = """
import sys
from triptych.contract.paths import path_from_text, text_from_path, told_path
assert sys.getfilesystemencoding() == "ascii"
text = sys.stdin.read()
path = path_from_text(text)
assert path.read_text() == "found" and path in path.parent.iterdir()
assert text_from_path(path) == told_path("path", path) == text
print(text_from_path(f"{path}: is broken"))
"""
LOAD = """
import sys
from pathlib import Path
from triptych.contract.paths import path_from_text
from triptych.engine.port import EngineSettings
from triptych_unet.model import UNetModel
folder = path_from_text(sys.stdin.read())
UNetModel().open(folder / "checkpoint", "onnxruntime", EngineSettings(1, folder / "cache"))
"""


def run_in_ascii(script: str, text: str) -> str:
    command = [sys.executable, "-c", script]
    return subprocess.check_output(command, input=text, encoding="utf-8", env=os.environ | ASCII, timeout=120)


@pytest.mark.parametrize("name", ["jürgen", "図", "plain", "a 'quoted' \\ name"])
def test_a_path_is_found_and_told_by_its_name(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("found")
    assert run_in_ascii(READ, str(path)) == f"{path}: is broken\n"


@pytest.mark.parametrize("name", ["jürgen", "図", "\udcff"])
def test_where_names_are_utf8_nothing_changes_but_what_no_text_can_hold(name: str) -> None:
    assert path_from_text(name) == Path(name)
    assert text_from_path(name) == ("�" if name == "\udcff" else name)


def test_a_name_that_is_no_text_is_refused_where_it_would_be_told() -> None:
    assert told_path("path", Path("jürgen")) == told_path("path", "jürgen") == "jürgen"
    with pytest.raises(InvalidArgumentError, match="is not UTF-8; rename it") as caught:
        told_path("path", Path("\udcff"))
    assert caught.value.metadata["field"] == "path"


def test_an_engine_loads_from_there(tmp_path: Path) -> None:
    shutil.copytree(checkpoint_path(), tmp_path / "jürgen/checkpoint")
    run_in_ascii(LOAD, str(tmp_path / "jürgen"))

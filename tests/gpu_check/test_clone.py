"""Tests that need a GPU are found in a clone and run for real, in one made for it here."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import triptych
from triptych.gpu_check.clone import commit, find_clone, run_marked

TESTS = """
import time, pytest

@pytest.mark.cuda
@pytest.mark.parametrize("device", ["cuda:0 and more"])
def test_good(device): print("x")

@pytest.mark.cuda
def test_bad(): assert False

@pytest.mark.cuda
def test_left_out(): pytest.skip("no GPU")

@pytest.mark.tensorrt
def test_slow(): time.sleep(600)

def test_other(): assert False
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_it.py").write_text(TESTS)
    markers = 'markers = ["cuda: x", "tensorrt: x"]\naddopts = "-q -p no:cacheprovider"\n'
    (tmp_path / "pyproject.toml").write_text(f"[tool.pytest.ini_options]\n{markers}")
    return tmp_path


def test_this_is_a_clone_and_a_wheel_is_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert find_clone() == Path(__file__).parents[2]
    monkeypatch.setattr(triptych, "__file__", str(tmp_path / "lib" / "site-packages" / "triptych" / "__init__.py"))
    assert find_clone() is None


def test_each_outcome_is_told(clone: Path) -> None:
    outcomes: dict[str, str] = {}
    assert run_marked(clone, "cuda", 60, outcomes.__setitem__) == ""
    assert {name.partition("::")[2]: outcome for name, outcome in outcomes.items()} == {
        "test_good[cuda:0 and more]": "passed",
        "test_bad": "failed",
        "test_left_out": "skipped",
    }


def test_what_takes_too_long_is_ended(clone: Path) -> None:
    outcomes: dict[str, str] = {}
    assert run_marked(clone, "tensorrt", 2, outcomes.__setitem__) == "ended after 2 s" and not outcomes


@pytest.mark.parametrize("file", ["test_it.py", "conftest.py"])
def test_tests_that_cannot_be_collected_are_an_error(clone: Path, file: str) -> None:
    (clone / "tests" / file).write_text("import no_such_module")
    outcomes: dict[str, str] = {}
    assert "no_such_module" in run_marked(clone, "cuda", 60, outcomes.__setitem__)
    assert outcomes == {"pytest -m cuda": "error"}


def test_a_commit_is_told_with_what_differs(clone: Path) -> None:
    assert commit(clone) == ""
    author = ["-c", "user.name=x", "-c", "user.email=x@example"]
    for arguments in (["init", "-q"], ["add", "."], [*author, "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", str(clone), *arguments], check=True)
    clean = commit(clone)
    (clone / "new").touch()
    assert clean.isalnum() and commit(clone) == clean + "+"

"""The clone that this package runs from, if it does: its tests that need a GPU, and the commit it stands at."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import triptych

_OUTCOME = re.compile(r"^(\S+::.+) (PASSED|FAILED|SKIPPED|ERROR|XFAIL|XPASS)\b")
_TAIL_CHARACTERS = 600


def find_clone() -> Path | None:
    """Its root; None where the package was installed from a wheel, which has no tests."""
    root = Path(triptych.__file__).resolve().parents[2]
    return root if (root / "pyproject.toml").is_file() and (root / "tests").is_dir() else None


def commit(clone: Path) -> str:
    """The commit, with a + where files differ from it; "" where git cannot tell."""
    try:
        return _git(clone, "rev-parse", "--short", "HEAD") + ("+" if _git(clone, "status", "--porcelain") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def run_marked(clone: Path, mark: str, limit_s: float, took: Callable[[str, str], None]) -> str:
    """Runs the clone's tests of one mark and tells the outcome of each; "" or what kept it from running them all.

    Where pytest could not run them, that is told as an outcome too: an error of the command.
    """
    command = [sys.executable, "-m", "pytest", "-vv", "--no-header", "--color=no", "-m", mark]
    process = subprocess.Popen(
        command, cwd=clone, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    ended_early = threading.Event()

    def end() -> None:
        ended_early.set()
        os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(limit_s, end)
    timer.start()
    tail = ""
    try:
        with process.stdout or nullcontext(()) as lines:
            for line in lines:
                if match := _OUTCOME.match(line):
                    took(match[1], match[2].lower())
                tail = (tail + line)[-_TAIL_CHARACTERS:]
        code = process.wait()
    finally:
        timer.cancel()
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if ended_early.is_set():
        return f"ended after {limit_s:.0f} s"
    if code in (0, 1, 5):  # 1: some failed; 5: there are none of that mark
        return ""
    took(f"pytest -m {mark}", "error")
    return f"pytest ended with {code}: {' '.join(tail.split())}"


def _git(clone: Path, *arguments: str) -> str:
    command = ["git", "-C", str(clone), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()

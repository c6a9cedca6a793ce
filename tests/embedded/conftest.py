from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from triptych.embedded.process import ProcessSpec


def wait_for(condition: Callable[[], object], timeout_s: float = 20.0) -> None:
    deadline_s = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether the process exists and is no zombie (an orphan's zombie is for init to reap)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def spec(tmp_path: Path) -> Callable[..., ProcessSpec]:
    """Makes the specification of a child that runs some Python code."""

    def make(code: str, **fields: object) -> ProcessSpec:
        values = {"stop_grace_s": 20.0, **fields}
        command = (sys.executable, "-I", "-S", "-c", code)
        return ProcessSpec("child", command, dict(os.environ), tmp_path / "log", "", **values)  # type: ignore[arg-type]

    return make

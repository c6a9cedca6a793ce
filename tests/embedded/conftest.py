from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from triptych.embedded.folders.shm import regions
from triptych.embedded.processes.process import ProcessSpec, group_members


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


def triton_below(pid: int) -> int:
    """The Triton server among a process's children."""
    (child,) = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    assert Path(f"/proc/{child}/exe").resolve().name == "tritonserver"
    return child


def stub_below(triton: int) -> int:
    """The process of the one model that a Triton server holds."""
    (stub,) = [member for member in group_members(triton) if member != triton]
    return stub


def environment_of(pid: int) -> dict[str, str]:
    entries = Path(f"/proc/{pid}/environ").read_bytes().rstrip(b"\0").split(b"\0")
    return dict(os.fsdecode(entry).split("=", 1) for entry in entries)


def regions_of(triton: int) -> list[Path]:
    """The shared-memory regions of a Triton server that runs; another stack's are none of a test's business."""
    option = "--backend-config=python,shm-region-prefix-name="
    arguments = Path(f"/proc/{triton}/cmdline").read_text().split("\0")
    return regions(next(text for text in arguments if text.startswith(option)).removeprefix(option))


def is_private(path: Path) -> bool:
    """Whether nobody but its owner may do anything with it."""
    return path.stat().st_mode & 0o077 == 0


@pytest.fixture
def spec(tmp_path: Path) -> Callable[..., ProcessSpec]:
    """Makes the specification of a child that runs some Python code."""

    def make(code: str, **fields: object) -> ProcessSpec:
        values = {"stop_grace_s": 20.0, **fields}
        command = (sys.executable, "-I", "-S", "-c", code)
        return ProcessSpec("child", command, dict(os.environ), tmp_path / "log", "", **values)  # type: ignore[arg-type]

    return make

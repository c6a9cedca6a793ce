"""What the figures were taken on, and how busy it was with other work."""

from __future__ import annotations

import os
import re
from datetime import date
from importlib.metadata import version
from pathlib import Path


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def describe() -> str:
    """One line: date, cores, processor, memory, load, and the versions that matter."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    total = re.search(r"MemTotal: *(\d+)", Path("/proc/meminfo").read_text())
    gigabytes = round(int(total[1]) / 2**20) if total else 0
    versions = ", ".join(f"{name} {version(name)}" for name in ("onnxruntime", "torch", "diffusers"))
    return (
        f"{date.today()}; {cores()} cores, {model[1] if model else 'unknown processor'}, {gigabytes} GB; "
        f"load before: {os.getloadavg()[0]:.1f}; {versions}"
    )

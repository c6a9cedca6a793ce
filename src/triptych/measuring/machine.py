"""What figures were taken on, and how busy it was with other work."""

from __future__ import annotations

import os
import re
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def processor() -> str:
    """Cores, processor and memory."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    total = re.search(r"MemTotal: *(\d+)", Path("/proc/meminfo").read_text())
    gigabytes = round(int(total[1]) / 2**20) if total else 0
    return f"{cores()} cores, {model[1] if model else 'unknown processor'}, {gigabytes} GB"


def installed(name: str) -> str:
    """A distribution's version, or "" where it is not installed."""
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def describe() -> str:
    """One line: date, cores, processor, memory, load, and the versions that matter."""
    versions = ", ".join(f"{name} {installed(name)}" for name in ("onnxruntime", "torch", "diffusers"))
    return f"{date.today()}; {processor()}; load before: {os.getloadavg()[0]:.1f}; {versions}"

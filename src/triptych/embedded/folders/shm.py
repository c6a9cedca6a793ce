"""The shared-memory regions of Triton's Python backend, which a killed server leaves behind."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path("/dev/shm")


def regions(prefix: str) -> list[Path]:
    """The regions whose names start with the prefix."""
    return sorted(path for path in FOLDER.glob("*") if path.name.startswith(prefix)) if prefix else []


def remove_regions(prefix: str) -> int:
    """Removes the regions of a server that has ended; returns how many there were."""
    left = regions(prefix)
    for path in left:
        path.unlink(missing_ok=True)
    return len(left)

"""Placement files: a UNet replica on each of some cores, everything else as it is without a file."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path


def two_cores() -> tuple[int, int]:
    """The first two that this process may use."""
    usable = sorted(os.sched_getaffinity(0))
    if len(usable) < 2:
        raise SystemExit("this benchmark needs two cores")
    return usable[0], usable[1]


def unet_on_each(folder: Path, cores: Sequence[int]) -> Path:
    """The file, written into the folder: one replica on one core each."""
    path = folder / f"unet-on-{'-'.join(map(str, cores))}.toml"
    path.write_text("\n".join(f'[[replica]]\nstage = "unet"\ncores = "{core}"\n' for core in cores))
    return path

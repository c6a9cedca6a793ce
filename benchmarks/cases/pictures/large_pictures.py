"""Memory of their own that large pictures take: all of Triptych's processes against diffusers' one, files' pages apart.

At the size that is asked for, diffusers' default pipeline beside Triptych with the VAE at once, and in tiles. Then the
demo checkpoint: 1024x1024 both ways, how far apart those pictures are, and 2048x2048, which is in tiles by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import triptych
from benchmarks.processes import peak_of_own, processes_of
from benchmarks.report import print_judgement, print_table
from benchmarks.setting import Setting
from triptych import demo
from triptych.measuring.diffusers_worker import diffusers_worker
from triptych.measuring.machine import cores
from triptych.measuring.memory import PeakMemory

TARGET_OF_DIFFUSERS = 0.5
TARGET_OF_A_QUARTER = 2.0
_AT_ONCE, _TILED = ({"max_pixels": 2048 * 2048, "max_untiled_pixels": side * side} for side in (1024, 512))


def run(setting: Setting) -> bool:
    """Prints the tables; whether both targets are met."""
    path = demo.checkpoint_path()
    small, whole = _drawn(setting, path, 1024, _AT_ONCE)
    tiled, parts = _drawn(setting, path, 1024, _TILED)
    large, _ = _drawn(setting, path, 2048, _AT_ONCE)
    print("anonymous and shared memory at its greatest, demo checkpoint")
    _print({"1024x1024": small, "1024x1024, in tiles": tiled, "2048x2048, in tiles": large})
    apart = np.abs(whole - parts)
    print(f"tiles or not, 1024x1024: {apart.max()} of 255 apart at most, {apart.mean():.3f} on average")
    met = print_judgement("2048x2048, of 1024x1024's", large.bytes / small.bytes, TARGET_OF_A_QUARTER)
    return _beside_diffusers(setting, setting.checkpoint()) and met


def _beside_diffusers(setting: Setting, checkpoint: Path) -> bool:
    ours = {
        "Triptych, the VAE at once": _drawn(setting, checkpoint, setting.size, _AT_ONCE)[0],
        "Triptych, the VAE in tiles": _drawn(setting, checkpoint, setting.size, _TILED)[0],
    }
    theirs = _diffusers(setting, checkpoint)
    print(f"anonymous and shared memory at its greatest, {setting.describe()}")
    _print({"diffusers": theirs, **ours})
    ratios = [each.bytes / theirs.bytes for each in ours.values()]
    print_judgement("at once, of diffusers'", ratios[0], TARGET_OF_DIFFUSERS)
    return print_judgement("in tiles, of diffusers'", ratios[1], TARGET_OF_DIFFUSERS)


def _diffusers(setting: Setting, checkpoint: Path) -> PeakMemory:
    worker = diffusers_worker(checkpoint, threads=cores())
    with worker, peak_of_own(lambda: {"diffusers": [worker.pid]}) as peak:
        worker.wait_ready()
        worker.ask({"prompt": "a red circle", **setting.parameters()})
    return peak


def _drawn(setting: Setting, checkpoint: Path, side: int, limits: Mapping[str, int]) -> tuple[PeakMemory, Any]:
    """One picture and what it took."""
    stack = triptych.local({"bench": checkpoint}, cache_dir=setting.cache_dir, limits=limits, startup_timeout_s=1200.0)
    with stack as client, peak_of_own(lambda: processes_of(stack.stack)) as peak:
        sized = {**setting.parameters(), "width": side, "height": side}
        (image,) = client.generate("a large red circle on a white background", **sized).images
    return peak, np.asarray(image, np.int16)


def _print(peaks: Mapping[str, PeakMemory]) -> None:
    print_table(
        ("GB", "sum", "of it"),
        [
            (
                name,
                f"{peak.bytes / 10**9:.2f}",
                ", ".join(f"{part} {each / 10**9:.2f}" for part, each in peak.parts.items()),
            )
            for name, peak in peaks.items()
        ],
    )


def _gigabytes(size_bytes: int) -> str:
    return f"{size_bytes / 10**9:.2f}"

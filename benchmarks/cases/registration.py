"""Registering 100 checkpoints: headers, configurations and tokenizers are read, and no weights.

Each is a folder of its own whose files are links to one checkpoint's. The first of them has its tokenizer made, which
the others share.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
import time
from pathlib import Path

from benchmarks.report import print_judgement, print_seconds
from benchmarks.setting import Setting
from triptych_orchestrator.library.catalog import Catalog
from triptych_orchestrator.settings import Settings
from triptych_orchestrator.stages.pool import ReplicaPool

TARGET_S = 5.0
_COUNT = 100


def run(setting: Setting) -> bool:
    """Prints the table; whether all are registered in time."""
    seconds: dict[str, list[float]] = {"the first": [], f"all {_COUNT}": [], "all, of a core": []}
    checkpoint = setting.checkpoint()
    for _ in range(setting.rounds):
        # Beside the checkpoint, for links do not cross file systems.
        with tempfile.TemporaryDirectory(dir=setting.folder, prefix="registration-") as scratch:
            taken = asyncio.run(_register(Path(scratch), checkpoint))
        for values, each in zip(seconds.values(), taken, strict=True):
            values.append(each)
    size = sum(path.stat().st_size for path in checkpoint.rglob("*") if path.is_file())
    print(f"folders of {size / 1e9:.2f} GB each, {setting.models}")
    print_seconds(seconds)
    return print_judgement(f"registering {_COUNT}, the least", min(seconds[f"all {_COUNT}"]), TARGET_S, " s")


async def _register(scratch: Path, checkpoint: Path) -> tuple[float, float, float]:
    folders = [scratch / str(number) for number in range(_COUNT)]
    for folder in folders:
        shutil.copytree(checkpoint, folder, copy_function=os.link)
    settings = Settings("127.0.0.1:1", None, {}, scratch / "state")
    catalog = Catalog(settings, ReplicaPool(settings))
    begun, begun_cpu, first = time.perf_counter(), time.process_time(), 0.0
    for folder in folders:
        await catalog.register(f"bench-{folder.name}", folder)
        first = first or time.perf_counter() - begun
    return first, time.perf_counter() - begun, time.process_time() - begun_cpu

"""Registering 100 single files: headers are read, and no weights.

Each is a link to one file, of which only the header is real. The first of them has its tokenizer made, which the others
share.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from pathlib import Path

from benchmarks.report import print_judgement, print_seconds
from benchmarks.setting import Setting
from benchmarks.single_files import ensure_headers
from triptych_orchestrator.library.catalog import Catalog
from triptych_orchestrator.library.collecting import collect_seldom
from triptych_orchestrator.settings import Settings
from triptych_orchestrator.stages.pool import ReplicaPool

TARGET_S = 5.0
_COUNT = 100


def run(setting: Setting) -> bool:
    """Prints the table; whether all are registered in time."""
    seconds: dict[str, list[float]] = {"the first": [], f"all {_COUNT}": [], "all, of a core": []}
    file = ensure_headers(setting.folder, setting.models)
    collect_seldom()  # as the server does
    for _ in range(setting.rounds):
        # Beside the file, for links do not cross file systems.
        with tempfile.TemporaryDirectory(dir=setting.folder, prefix="registration-") as scratch:
            taken = asyncio.run(_register(Path(scratch), file))
        for values, each in zip(seconds.values(), taken, strict=True):
            values.append(each)
    print(f"files of {file.stat().st_size / 1e9:.2f} GB each, {setting.models}")
    print_seconds(seconds)
    return print_judgement(f"registering {_COUNT}, the least", min(seconds[f"all {_COUNT}"]), TARGET_S, " s")


async def _register(scratch: Path, file: Path) -> tuple[float, float, float]:
    links = [scratch / f"{number}.safetensors" for number in range(_COUNT)]
    for link in links:
        os.link(file, link)
    settings = Settings("127.0.0.1:1", None, {}, scratch / "state")
    catalog = Catalog(settings, ReplicaPool(settings))
    begun, begun_cpu, first = time.perf_counter(), time.process_time(), 0.0
    for link in links:
        await catalog.register(f"bench-{link.stem}", link)
        first = first or time.perf_counter() - begun
    return first, time.perf_counter() - begun, time.process_time() - begun_cpu

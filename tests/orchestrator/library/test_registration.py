"""Registering reads headers, configurations and tokenizers, and nothing of weights, however large they are."""

from __future__ import annotations

import gc
import json
import math
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.single_files import save_pair
from triptych.checkpoint.safetensors import read_header
from triptych_orchestrator.library.catalog import Catalog
from triptych_orchestrator.library.collecting import collect_seldom
from triptych_orchestrator.settings import Settings
from triptych_orchestrator.stages.pool import ReplicaPool

COUNT = 20
BESIDE_BYTES = 1 << 30


def enlarge(file: Path) -> int:
    """Puts a gigabyte with nothing in it behind the file's tensors; returns the bytes of its header."""
    entries, end = {}, 0
    for name, info in read_header(file).items():
        entries[name] = {"dtype": info.dtype, "shape": info.shape, "data_offsets": [end, end + info.size_bytes]}
        end += info.size_bytes
    shape = [BESIDE_BYTES // 4]
    entries["beside"] = {"dtype": "F32", "shape": shape, "data_offsets": [end, end + 4 * math.prod(shape)]}
    header = json.dumps(entries).encode()
    with file.open("wb") as stream:
        stream.write(len(header).to_bytes(8, "little") + header)
        stream.truncate(8 + len(header) + end + BESIDE_BYTES)
    return len(header)


def read_bytes() -> int:
    """That this process has asked files for so far, in the page cache or not."""
    text = Path("/proc/self/io").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("rchar")).split()[1])


@pytest.mark.parametrize("kind", ["folder", "file"])
async def test_no_weights_are_read(tmp_path: Path, kind: str) -> None:
    pair = save_pair(tmp_path / "made", "sd1")
    names = [tmp_path / f"{number}.safetensors" for number in range(COUNT)]
    if kind == "file":
        most = 3 * enlarge(pair.file)
        for name in names:
            os.link(pair.file, name)
    else:
        most = 3 * sum(map(enlarge, pair.folder.glob("*/*.safetensors")))
        names = [name.with_suffix("") for name in names]
        for name in names:
            shutil.copytree(pair.folder, name, copy_function=os.link)
        most += 2 * sum(path.stat().st_size for path in pair.folder.rglob("*.*") if path.suffix != ".safetensors")
    settings = Settings("x:1", None, {}, tmp_path / "state")
    catalog = Catalog(settings, ReplicaPool(settings))
    before = read_bytes()
    entries = [await catalog.register(str(number), name) for number, name in enumerate(names)]
    assert read_bytes() - before < COUNT * (most + 100_000)
    assert all(entry.checkpoint and entry.checkpoint.weights_bytes and not entry.hashing for entry in entries)


@pytest.fixture
def collecting() -> Iterator[list[int]]:
    """The generations that are collected from then on."""
    thresholds, generations = gc.get_threshold(), list[int]()

    def note(phase: str, collection: dict[str, int]) -> None:
        if phase == "start":
            generations.append(collection["generation"])

    gc.collect()
    gc.callbacks.append(note)
    yield generations
    gc.callbacks.remove(note)
    gc.set_threshold(*thresholds)


def test_what_is_kept_is_seldom_walked(collecting: list[int]) -> None:
    collect_seldom()
    kept = [[number] for number in range(300_000)]
    # Of Python's own thresholds that would be above 400, and some of them of all generations.
    assert len(kept) == 300_000 and 0 < len(collecting) < 50 and 2 not in collecting

"""Caches with sound and unsound entries, made by the functions that make real ones; and processes that hold locks."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.checkpoint.pickles.writing import NUMBERS, SOUND, as_zip, program
from triptych.cache_folders import lock, publishing
from triptych.checkpoint import Architecture
from triptych.checkpoint.pickles import as_safetensors
from triptych.engine.cache.artifacts import EXPORT_REVISIONS, artifact_key
from triptych.engine.tensorrt.build.cache import PLAN_FILE, ensure_engine
from triptych.engine.tensorrt.build.keys import Build, Gpu
from triptych.engine.tensorrt.build.plan import RefitPlan
from triptych.engine.tensorrt.network.profiles import Profile, Range

GPU = Gpu("NVIDIA L4", (8, 9), "10.13.0")
BUILD = Build("unet", "graph", "weights", (Profile({"batch": Range(1, 2, 16)}),), "fp16", RefitPlan.PER_CHECKPOINT, GPU)
HOLDER = """
import sys
from pathlib import Path
from triptych.cache_folders import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
DAY_S = 86_400


def architecture(number: int = 0) -> Architecture:
    return Architecture.of("vae_decoder", "AutoencoderKL", {"block_out_channels": [8 * (number + 1)]})


def add_graph(cache: Path, number: int = 0, content: bytes = b"a graph", unused_days: float = 0) -> Path:
    root, key = cache / "graphs", artifact_key(architecture(number))
    root.mkdir(parents=True, exist_ok=True)
    with lock(root / f"{key}.lock"), publishing(root, key) as building:
        (building / "architecture.json").write_text(architecture(number).canonical())
        (building / "graph.onnx").write_bytes(content)
        manifest = {"revision": EXPORT_REVISIONS["vae_decoder"], "sha256": hashlib.sha256(content).hexdigest()}
        (building / "manifest.json").write_text(json.dumps(manifest))
    return unused(root / key, unused_days)


def add_engine(cache: Path, number: int = 0, content: bytes = b"a plan", unused_days: float = 0) -> Path:
    def make(folder: Path) -> dict[str, Any]:
        (folder / PLAN_FILE).write_bytes(content)
        return {"step_seconds": 1.0}

    folder = ensure_engine(cache / "tensorrt", replace(BUILD, weights_digest=str(number)), make)
    return unused(folder, unused_days)


def add_timings(cache: Path, content: bytes = b"timings", suffix: str = "cache") -> Path:
    path = cache / "tensorrt" / f"timing-{GPU.digest()}.{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def add_weights(cache: Path) -> Path:
    source = as_zip(cache.parent / f"{cache.name}.ckpt", program(**SOUND), {"0": NUMBERS})
    return as_safetensors(source, cache).parent


def add_leftover(folder: Path) -> Path:
    """What a builder of that folder would leave if it were killed."""
    leftover = folder.with_name(f"{folder.name}.building-a1b2c3_x")
    (leftover / folder.name).mkdir(parents=True)
    (leftover / folder.name / "half").write_bytes(b"half")
    return leftover


def unused(folder: Path, days: float) -> Path:
    manifest = folder / "manifest.json"
    then_s = manifest.stat().st_mtime - days * DAY_S
    os.utime(manifest, (then_s, then_s))
    return folder


def lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")


@contextmanager
def held_by_another_process(path: Path) -> Iterator[None]:
    command = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        try:
            yield
        finally:
            holder.communicate()

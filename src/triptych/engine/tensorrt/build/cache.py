"""The cache of engines: one folder each with the plan and a manifest, complete or absent, and what their steps took."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from triptych.cache_folders import MANIFEST_FILE, discard, lock, mark_used, publishing, read_manifest
from triptych.engine.tensorrt.build.plan import RefitPlan
from triptych.errors import FailedPreconditionError

if TYPE_CHECKING:  # at run time it would bring onnx, and who only looks into a cache needs none
    from triptych.engine.tensorrt.build.keys import Build

ENGINES, PLAN_FILE = "tensorrt", "engine.plan"


def ensure_engine(root: Path, build: Build, make: Callable[[Path], Mapping[str, Any]]) -> Path:
    """The engine's folder; if need be, `make` fills a new one and returns what else the manifest is to hold."""
    folder = root / build.key()
    if not is_sound(folder):  # asked before the lock, which a cache that is read-only could not have
        _make_once(root, build, make)
    mark_used(folder)
    return folder


def is_sound(folder: Path) -> bool:
    """Whether the folder's engine is as large as its manifest says; a digest of gigabytes would slow every load."""
    try:
        return bool((folder / PLAN_FILE).stat().st_size == read_manifest(folder).get("size_bytes"))
    except OSError:
        return False


def drop_engine(root: Path, build: Build) -> None:
    """Removes an engine that was found to be of no use, unless somebody has; a cache that is read-only keeps it."""
    key = build.key()
    with suppress(OSError, FailedPreconditionError), lock(root / f"{key}.lock"):
        forget_checks(root, key)
        discard(root, key)


def checked_mark(root: Path, key: str, weights: str) -> Path:
    """The file that stands for: this engine of a whole architecture was right with those weights."""
    return root / f"{key}-{weights}.checked"


def forget_checks(root: Path, key: str) -> None:
    """For an engine that is about to go: one that is built anew is compared with its reference anew."""
    for mark in root.glob(f"{key}-*.checked"):
        mark.unlink(missing_ok=True)


def measured_steps(root: Path, subject: str) -> dict[RefitPlan, float]:
    """The least seconds that a step took with each plan, of the engines in the cache that can be compared."""
    measured: dict[RefitPlan, float] = {}
    for path in sorted(root.glob(f"*/{MANIFEST_FILE}")):
        manifest = read_manifest(path.parent)
        try:
            if manifest.get("subject") == subject:
                plan, seconds = RefitPlan(manifest["plan"]), float(manifest["step_seconds"])
                measured[plan] = min(seconds, measured.get(plan, seconds))
        except (KeyError, TypeError, ValueError):
            continue
    return measured


def _make_once(root: Path, build: Build, make: Callable[[Path], Mapping[str, Any]]) -> None:
    key = build.key()
    with lock(root / f"{key}.lock"):
        if is_sound(root / key):
            return
        forget_checks(root, key)
        with publishing(root, key) as building:
            manifest = {**_description(build), **make(building)}
            manifest["size_bytes"] = (building / PLAN_FILE).stat().st_size
            (building / MANIFEST_FILE).write_text(json.dumps(manifest))


def _description(build: Build) -> dict[str, str]:
    """What says to people which engine this is, and to `measured_steps` what it can be compared with."""
    return {
        "subject": build.subject(),
        "model": build.model,
        "precision": build.precision,
        "plan": build.plan.value,
        "gpu": build.gpu.name,
        "compute_capability": ".".join(map(str, build.gpu.compute_capability)),
        "tensorrt": build.gpu.tensorrt_version,
    }

"""The cache of engines: one folder each with the plan and a manifest, complete or absent, and what their steps took."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from triptych.engine.folders import lock, publishing
from triptych.engine.tensorrt.keys import Build
from triptych.engine.tensorrt.plan import RefitPlan

PLAN_FILE, MANIFEST_FILE = "engine.plan", "manifest.json"


def ensure_engine(root: Path, build: Build, make: Callable[[Path], Mapping[str, Any]]) -> Path:
    """The engine's folder; if need be, `make` fills a new one and returns what else the manifest is to hold."""
    root.mkdir(parents=True, exist_ok=True)
    folder = root / build.key()
    with lock(root / f"{build.key()}.lock"):
        if _is_sound(folder):
            return folder
        with publishing(root, build.key()) as building:
            manifest = {"subject": build.subject(), "plan": build.plan.value, **make(building)}
            manifest["size_bytes"] = (building / PLAN_FILE).stat().st_size
            (building / MANIFEST_FILE).write_text(json.dumps(manifest))
    return folder


def measured_steps(root: Path, subject: str) -> dict[RefitPlan, float]:
    """The least seconds that a step took with each plan, of the engines in the cache that can be compared."""
    measured: dict[RefitPlan, float] = {}
    for path in sorted(root.glob(f"*/{MANIFEST_FILE}")):
        manifest = _manifest(path.parent)
        try:
            if manifest.get("subject") == subject:
                plan, seconds = RefitPlan(manifest["plan"]), float(manifest["step_seconds"])
                measured[plan] = min(seconds, measured.get(plan, seconds))
        except (KeyError, TypeError, ValueError):
            continue
    return measured


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_bytes())
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _is_sound(folder: Path) -> bool:
    try:
        return bool((folder / PLAN_FILE).stat().st_size == _manifest(folder).get("size_bytes"))
    except OSError:
        return False

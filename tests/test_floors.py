"""Who may import whom, and what runs without torch: the floors of ARCHITECTURE.md, read from the source itself."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("src", "orchestrator", "services/encoder", "services/unet", "services/vae", "gateway")

ORCHESTRATOR = {"triptych.contract", "triptych.checkpoint", "triptych.lora", "triptych.logs"}

# Each package may import those named; those in FREE are free to all.
ALLOWED = {
    "triptych.contract": set(),
    "triptych.logs": set(),
    "triptych.keys": set(),
    "triptych.demo": set(),
    "triptych.v1": set(),
    "triptych.checkpoint": {"triptych.contract"},
    "triptych.wire": {"triptych.v1"},
    "triptych.engine": {"triptych.contract", "triptych.checkpoint"},
    "triptych.lora": {"triptych.contract", "triptych.checkpoint"},
    "triptych.stage": {"triptych.contract", "triptych.checkpoint", "triptych.lora", "triptych.engine", "triptych.logs"},
    "triptych.sdk": {"triptych.contract", "triptych.keys", "triptych.v1", "triptych.wire"},
    "triptych.embedded": {"triptych.contract", "triptych.demo", "triptych.keys", "triptych.sdk", "triptych.wire"},
    "triptych.measuring": {"triptych.contract", "triptych.checkpoint", "triptych.engine"},
    "triptych.gpu_check": {
        "triptych.contract",
        "triptych.checkpoint",
        "triptych.sdk",
        "triptych.embedded",
        "triptych.measuring",
    },
    "triptych.cli": {
        "triptych.contract",
        "triptych.sdk",
        "triptych.embedded",
        "triptych.engine",
        "triptych.demo",
        "triptych.gpu_check",
        "triptych.keys",
    },
    "triptych.__main__": {"triptych.cli"},
    "triptych_encoder": {"triptych.contract", "triptych.checkpoint", "triptych.engine", "triptych.stage"},
    "triptych_unet": {"triptych.contract", "triptych.checkpoint", "triptych.engine", "triptych.stage"},
    "triptych_vae": {"triptych.contract", "triptych.checkpoint", "triptych.engine", "triptych.stage"},
    "triptych_gateway": {"triptych.contract", "triptych.keys", "triptych.sdk", "triptych.logs"},
    **{
        f"triptych_orchestrator.{room}": {f"triptych_orchestrator.{below}" for below in below_it} | shared
        for room, shared, below_it in (
            ("sampling", set(), ()),
            ("pixels", set(), ()),
            ("text", {"triptych.checkpoint"}, ()),
            ("stages", {"triptych.contract"}, ()),
            ("batching", {"triptych.contract"}, ("stages",)),
            ("library", ORCHESTRATOR | {"triptych.wire"}, ("sampling", "text", "stages")),
            ("jobs", ORCHESTRATOR, ("sampling", "pixels", "text", "library")),
            ("pipeline", ORCHESTRATOR, ("sampling", "pixels", "text", "stages", "batching", "library", "jobs")),
            (
                "api",
                ORCHESTRATOR | {"triptych.keys", "triptych.v1", "triptych.wire"},
                ("sampling", "pixels", "stages", "batching", "library", "jobs", "pipeline"),
            ),
        )
    },
    "triptych_orchestrator.__main__": ORCHESTRATOR | {"triptych.keys", "triptych_orchestrator.api"},
    # What every room may use: settings, metrics and the like.
    "triptych_orchestrator": {"triptych.contract", "triptych.checkpoint", "triptych.logs"},
}
FREE = {"triptych", "triptych.cache_folders", "triptych.errors", "triptych.legible", "triptych._version"}

# Python files of one folder; beyond, it wants rooms.
MOST_FILES = 15

# Third-party packages that only these may import.
RESERVED = {
    "torch": {"triptych.engine", "triptych.measuring"},
    "diffusers": {"triptych.engine", "triptych.measuring"},
    "transformers": {"triptych.engine", "triptych.measuring"},
    "onnx": {"triptych.engine"},
    "onnxscript": {"triptych.engine"},
    "onnxruntime": {"triptych.engine"},
    "tensorrt": {"triptych.engine"},
    "fastapi": {"triptych_gateway"},
    "starlette": {"triptych_gateway"},
    "uvicorn": {"triptych_gateway"},
    "tritonclient": {"triptych_orchestrator.stages"},
    "triton_python_backend_utils": {"triptych.stage"},
}


def package_of(module: str) -> str:
    """The package that the floors speak of: `triptych`'s packages, the orchestrator's rooms, the others whole."""
    parts = module.split(".")
    if parts[0] in ("triptych", "triptych_orchestrator"):
        return ".".join(parts[:2]) if ".".join(parts[:2]) in ALLOWED.keys() | FREE else parts[0]
    return parts[0]


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            named = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from named if node.module == "triptych" else [node.module]


def sources() -> list[tuple[str, Path]]:
    found = []
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            module = ".".join(path.relative_to(ROOT / folder).with_suffix("").parts).removesuffix(".__init__")
            if not module.startswith("triptych.v1"):
                found.append((module, path))
    return found


def test_there_is_something_to_check() -> None:
    assert len(sources()) > 80


@pytest.mark.parametrize(("module", "path"), sources(), ids=lambda value: value if isinstance(value, str) else "")
def test_imports_go_down(module: str, path: Path) -> None:
    own = package_of(module)
    for imported in imports(path):
        target = package_of(imported)
        if target.startswith("triptych") and target not in {own, "triptych_orchestrator"} | FREE and own not in FREE:
            assert target in ALLOWED[own], f"{module} imports {imported}"
        for name, allowed in RESERVED.items():
            if imported.split(".")[0] == name:
                assert own in allowed, f"{module} imports {imported}"


def test_no_folder_is_crowded() -> None:
    folders = [path for path in ROOT.rglob("*") if path.is_dir() and not {*path.parts} & {".venv", "v1", ".git"}]
    counts = {str(folder): len([*folder.glob("[!_]*.py")]) for folder in folders}
    assert not {folder: count for folder, count in counts.items() if count > MOST_FILES}


@pytest.mark.parametrize(
    "module", ["triptych_orchestrator.api.server", "triptych.cli.main", "triptych.embedded", "triptych.gpu_check"]
)
def test_runs_without_torch(module: str) -> None:
    code = f"import sys, {module}; print([n for n in ('torch', 'diffusers', 'transformers') if n in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"

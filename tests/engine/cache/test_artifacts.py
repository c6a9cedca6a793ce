"""The cache of graphs: built once, whole or absent, sound or rebuilt; and what happens without torch."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import onnx
import pytest

from triptych.checkpoint import Architecture, Checkpoint
from triptych.demo import checkpoint_path
from triptych.engine.cache import artifacts
from triptych.engine.cache.artifacts import artifact_key, ensure_graph, find_graph
from triptych.errors import FailedPreconditionError, TriptychError

ARCHITECTURE = Architecture.of("vae_decoder", "AutoencoderKL", {"block_out_channels": [8], "norm_num_groups": 4})
KEY = artifact_key(ARCHITECTURE)
# Stands for the exporter: slow enough to meet others, and counts its runs.
EXPORTER = """
import os, sys, time
from pathlib import Path
assert sys.argv[1:3] == ["-m", "triptych.engine.exporter"]
Path({runs!r}).open("a").write(f"{{os.getpid()}}\\n")
Path(sys.argv[4]).write_bytes(b"half of ")
time.sleep({delay})
Path(sys.argv[4]).write_bytes(b"a graph")
"""
BUILDER = """
import sys
from pathlib import Path
from triptych.checkpoint import Architecture
from triptych.engine.cache import artifacts
artifacts._python = lambda: sys.argv[1]
print(artifacts.ensure_graph(Architecture.from_canonical(sys.argv[2]), Path(sys.argv[3])))
"""


class Workshop:
    """A cache folder and an exporter that takes `delay` seconds."""

    def __init__(self, folder: Path, delay: float = 0.5) -> None:
        self.cache = folder / "cache"
        self.runs = folder / "runs"
        script = folder / "exporter.py"
        script.write_text(EXPORTER.format(runs=str(self.runs), delay=delay))
        self.python = folder / "python"
        self.python.write_text(f'#!/bin/sh\nexec {sys.executable} {script} "$@"\n')
        self.python.chmod(0o755)

    def builder(self) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", BUILDER, str(self.python), ARCHITECTURE.canonical(), str(self.cache)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, start_new_session=True)

    def exports(self) -> int:
        return len(self.runs.read_text().splitlines()) if self.runs.exists() else 0

    def wait_for_export(self) -> None:
        """Until one has begun."""
        deadline = time.monotonic() + 60
        while not self.exports():
            assert time.monotonic() < deadline
            time.sleep(0.02)


def ended(builder: subprocess.Popen[str]) -> Path:
    out, error = builder.communicate(timeout=60)
    assert builder.returncode == 0, error
    return Path(out.strip())


def test_two_processes_build_once(tmp_path: Path) -> None:
    shop = Workshop(tmp_path)
    builders = [shop.builder() for _ in range(3)]
    paths = {ended(builder) for builder in builders}
    assert paths == {shop.cache / "graphs" / KEY / "graph.onnx"} and shop.exports() == 1
    assert paths.pop().read_bytes() == b"a graph"
    assert find_graph(ARCHITECTURE, shop.cache)


def test_a_cache_that_cannot_be_written_names_the_option(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    problem = r"^cache_dir: .*/file/x/graphs cannot be written: Not a directory; .* --cache-dir or TRIPTYCH_CACHE_DIR$"
    with pytest.raises(FailedPreconditionError, match=problem):
        ensure_graph(ARCHITECTURE, tmp_path / "file" / "x")


@pytest.mark.parametrize("whole_group", [True, False])
def test_a_builder_killed_halfway_is_no_trap(tmp_path: Path, whole_group: bool) -> None:
    shop = Workshop(tmp_path, delay=3)
    first = shop.builder()
    shop.wait_for_export()
    if whole_group:
        os.killpg(first.pid, signal.SIGKILL)
    else:  # its exporter lives on for a while
        first.kill()
    first.communicate()
    assert find_graph(ARCHITECTURE, shop.cache) is None
    assert ended(Workshop(tmp_path, delay=0).builder()).read_bytes() == b"a graph"
    assert not list((shop.cache / "graphs").glob("*.building-*"))


@pytest.mark.parametrize("damage", ["graph", "manifest", "no manifest", "no graph", "odd manifest", "empty folder"])
def test_a_damaged_graph_is_built_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    shop = Workshop(tmp_path, delay=0)
    monkeypatch.setattr(artifacts, "_python", lambda: str(shop.python))
    folder = ensure_graph(ARCHITECTURE, shop.cache).parent
    assert ensure_graph(ARCHITECTURE, shop.cache).parent == folder and shop.exports() == 1
    match damage:
        case "graph":
            (folder / "graph.onnx").write_bytes(b"a grape")
        case "manifest":
            (folder / "manifest.json").write_text("{")
        case "no manifest":
            (folder / "manifest.json").unlink()
        case "no graph":
            (folder / "graph.onnx").unlink()
        case "odd manifest":
            (folder / "manifest.json").write_text("[]")
        case "empty folder":
            for file in folder.iterdir():
                file.unlink()
    assert find_graph(ARCHITECTURE, shop.cache) is None
    assert ensure_graph(ARCHITECTURE, shop.cache).read_bytes() == b"a graph" and shop.exports() == 2


@pytest.mark.parametrize(
    ("cache", "folder", "file"), [(0o700, 0o700, 0o600), (0o775, 0o775, 0o664), (0o777, 0o775, 0o664)]
)
def test_a_graph_is_as_open_as_its_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: int, folder: int, file: int
) -> None:
    """So a cache can be shared though servers' umask is 077; but what all may write, nobody can trust."""
    shop = Workshop(tmp_path, delay=0)
    monkeypatch.setattr(artifacts, "_python", lambda: str(shop.python))
    shop.cache.mkdir()
    shop.cache.chmod(cache)
    before = os.umask(0o077)
    try:
        ensure_graph(ARCHITECTURE, shop.cache)
    finally:
        os.umask(before)
    made = list(shop.cache.rglob("*"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in made if path.is_dir()} == {folder}
    assert {stat.S_IMODE(path.stat().st_mode) for path in made if path.is_file()} == {file}
    assert {"graph.onnx", f"{KEY}.lock"} <= {path.name for path in made}


def test_many_threads_and_a_damaged_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who finds it damaged does not throw away what another has just built."""
    shop = Workshop(tmp_path, delay=0.1)
    monkeypatch.setattr(artifacts, "_python", lambda: str(shop.python))
    ensure_graph(ARCHITECTURE, shop.cache).write_bytes(b"damaged")
    with ThreadPoolExecutor(8) as pool:
        paths = list(pool.map(lambda _: ensure_graph(ARCHITECTURE, shop.cache), range(8)))
    assert shop.exports() == 2 and all(path.read_bytes() == b"a graph" for path in paths)


def test_a_unet_of_more_channels_takes_its_kins_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """That the graph is the one that would be exported, test_shipped.py shows."""
    monkeypatch.setattr(artifacts, "_python", lambda: "/bin/false")
    kin = Checkpoint.open(checkpoint_path()).components["unet"].architecture
    inpainting = replace(kin, config={**kin.config, "in_channels": 9})
    path = ensure_graph(inpainting, tmp_path)
    assert path == find_graph(inpainting, tmp_path)
    latents = onnx.load(path, load_external_data=False).graph.input[0]
    assert (latents.name, latents.type.tensor_type.shape.dim[1].dim_value) == ("latents", 9)
    with pytest.raises(TriptychError, match="exporting UNet2DConditionModel failed"):
        ensure_graph(replace(inpainting, config={**inpainting.config, "layers_per_block": 3}), tmp_path)


def test_shipped_graphs_are_sound() -> None:
    for folder in artifacts.SHIPPED.glob("*/"):
        manifest = json.loads((folder / "manifest.json").read_text())
        architecture = Architecture.from_canonical((folder / "architecture.json").read_text())
        assert manifest["revision"] == artifacts.EXPORT_REVISIONS[architecture.model]
        assert manifest["sha256"] == hashlib.sha256((folder / "graph.onnx.gz").read_bytes()).hexdigest()
        assert artifact_key(architecture) == folder.name


WITHOUT_TORCH = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "diffusers", "transformers", "onnxscript"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
import importlib.util
real = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name in (
    "torch", "diffusers", "transformers", "onnxscript") else real(name, package)
sys.meta_path.insert(0, Blocker())
from pathlib import Path
from triptych.checkpoint import Architecture, Checkpoint
from triptych.engine import EngineSettings, load_engine
from triptych.engine.cache.artifacts import ensure_graph
from triptych.errors import ArtifactMissingError, FailedPreconditionError
import triptych_orchestrator.api.server, triptych_unet.model, triptych_vae.model, triptych_encoder.model
component = Checkpoint.open(Path(sys.argv[1])).components["unet"]
try:
    load_engine("onnxruntime", component, EngineSettings(1, Path(sys.argv[2])))
except ArtifactMissingError as error:
    print(error.message)
try:
    load_engine("torch", component, EngineSettings(1, Path(sys.argv[2])))
except FailedPreconditionError as error:
    print(error.message)
print(sorted(name for name in sys.modules if name in ("torch", "diffusers", "transformers")))
"""


def test_without_torch(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH, str(checkpoints["sd1"]), str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stderr
    missing, engine, loaded = run.stdout.splitlines()
    assert "torch, diffusers, transformers, onnxscript" in missing
    assert "install triptych[server,torch]" in missing and "triptych build" in missing
    assert "needs the package torch" in engine and loaded == "[]"

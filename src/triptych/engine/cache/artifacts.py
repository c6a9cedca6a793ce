"""The cache of exported graphs: one folder per architecture, complete or absent, whoever builds it and dies.

A graph is looked for among those shipped with the package, then in the cache, then built there: from its kin's, as it
is written down here, or by an export. Builders of one architecture wait for each other on a file lock, which the kernel
drops with its holder; a folder appears by one rename. Those shipped are compressed, and read as they are: nothing is
written for them.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path

import triptych
from triptych import contract
from triptych.cache_folders import MANIFEST_FILE, lock, mark_used, publishing, read_manifest
from triptych.checkpoint import Architecture, Component
from triptych.contract import ENCODER, T2I_ADAPTER
from triptych.engine.cache.kin import kin_of, with_channels
from triptych.engine.exporting import describe_weights, run_exporter
from triptych.errors import ArtifactMissingError

# Part of every key: raise a model's when the exporter gives another graph for the same architecture.
EXPORT_REVISIONS = dict.fromkeys(contract.GRAPHS, 1) | {ENCODER.name: 2}
SHIPPED = Path(triptych.__file__).parent / "engine" / "graphs"
GRAPHS, GRAPH_FILE, REQUEST_FILE = "graphs", "graph.onnx", "architecture.json"
COMPRESSED_FILE = f"{GRAPH_FILE}.gz"

Progress = Callable[[str], None]


def artifact_key(architecture: Architecture) -> str:
    """The folder's name: which model, and a digest of all that shapes its graph."""
    text = f"{EXPORT_REVISIONS[architecture.model]}:{architecture.traced().canonical()}"
    return f"{architecture.model}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


def find_graph(architecture: Architecture, cache_dir: Path) -> Path | None:
    """The graph's path where a sound one is shipped or cached; `read_graph` reads either."""
    key = artifact_key(architecture)
    for folder, file in ((SHIPPED / key, COMPRESSED_FILE), (cache_dir / GRAPHS / key, GRAPH_FILE)):
        if is_sound(folder, file):
            return folder / file
    return None


def read_graph(path: Path) -> bytes:
    """The ONNX file that a graph's path stands for."""
    content = path.read_bytes()
    return gzip.decompress(content) if path.name == COMPRESSED_FILE else content


def ensure_graph(
    architecture: Architecture,
    cache_dir: Path,
    progress: Progress = lambda _message: None,
    component: Component | None = None,
) -> Path:
    """The graph's path, exported first if need be; ArtifactMissingError if that needs torch and there is none.

    Nothing is exported for a `component` whose weights are not what the architecture has: CheckpointInvalidError.
    """
    path = find_graph(architecture, cache_dir) or _export_once(architecture, cache_dir, progress, component)
    if not is_shipped(path):
        mark_used(path.parent)
    return path


def is_shipped(graph: Path) -> bool:
    """Whether the graph came with the package, so that no cache holds it."""
    return SHIPPED in graph.parents


def is_sound(folder: Path, file: str = GRAPH_FILE) -> bool:
    """Whether the folder's graph is what its manifest says."""
    try:
        with (folder / file).open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return False
    return bool(read_manifest(folder).get("sha256") == digest)


def _export_once(architecture: Architecture, cache_dir: Path, progress: Progress, component: Component | None) -> Path:
    root = cache_dir / GRAPHS
    key = artifact_key(architecture)
    with lock(root / f"{key}.lock"):
        if path := find_graph(architecture, cache_dir):
            return path
        if graph := _from_kin(architecture, cache_dir) or _written(architecture):
            return publish(architecture, root, lambda file: file.write_bytes(graph))
        missing = [
            name for name in ("torch", "diffusers", "transformers", "onnxscript") if not importlib.util.find_spec(name)
        ]
        if missing:
            raise ArtifactMissingError(
                f"no graph for this {architecture.class_name} is shipped or in {cache_dir}, and exporting one needs "
                f"{', '.join(missing)}: install triptych[server,torch], or run `triptych build` where they are and "
                f"copy its cache here"
            )
        progress(f"exporting {architecture.class_name} ({key})")
        return _build(architecture, root, component)


def _from_kin(architecture: Architecture, cache_dir: Path) -> bytes | None:
    kin = kin_of(architecture)
    path = find_graph(kin, cache_dir) if kin else None
    return with_channels(read_graph(path), architecture.config["in_channels"]) if path else None


def _written(architecture: Architecture) -> bytes | None:
    """A graph that is so small that it stands here, layer by layer."""
    if architecture.model != T2I_ADAPTER:
        return None
    from triptych.engine.t2i_adapters import adapter_graph  # which imports onnx

    return bytes(adapter_graph(architecture).SerializeToString(deterministic=True))


def _build(architecture: Architecture, root: Path, component: Component | None) -> Path:
    def export(file: Path) -> None:
        arguments = [str(file.with_name(REQUEST_FILE)), str(file)]
        if component:
            described = file.parent.with_name("weights.json")  # of one checkpoint: not to be kept
            described.write_text(describe_weights(component))
            arguments += ["--weights", str(described)]
        run_exporter(_python(), architecture.class_name, arguments)

    return publish(architecture, root, export)


def publish(architecture: Architecture, root: Path, write: Callable[[Path], object]) -> Path:
    """Makes the architecture's folder, with the graph that is written to the path; hold the key's lock."""
    key = artifact_key(architecture)
    with publishing(root, key) as building:
        (building / REQUEST_FILE).write_text(architecture.traced().canonical())
        write(building / GRAPH_FILE)
        graph = (building / GRAPH_FILE).read_bytes()
        manifest = {"revision": EXPORT_REVISIONS[architecture.model], "sha256": hashlib.sha256(graph).hexdigest()}
        (building / MANIFEST_FILE).write_text(json.dumps(manifest))
    return root / key / GRAPH_FILE


def _python() -> str:
    """The environment's interpreter; inside Triton's embedded one `sys.executable` may be anything."""
    return str(Path(sys.prefix) / "bin" / "python3")

"""Graphs of the tests' checkpoints, kept in tests/graphs lest every first run export them: a tiny UNet's takes 20 s.

python -m tests.session.kept            export anew what is stale
python -m tests.session.kept CACHE      and keep what a run's cache has besides
"""

from __future__ import annotations

import functools
import importlib
import logging
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

from tools.ship_graphs import is_fresh, made_by, ship
from triptych.cache_folders import lock
from triptych.checkpoint import Architecture
from triptych.contract import T2I_ADAPTER
from triptych.engine.cache.artifacts import COMPRESSED_FILE, GRAPHS, REQUEST_FILE, artifact_key, publish, read_graph
from triptych.engine.cache.kin import kin_of
from triptych.engine.exporting import program_for

KEPT = Path(__file__).parents[1] / "graphs"
# Where networks stand that no graph is shipped of.
_UNIONS, _UPSCALERS = "unions.py", "upscaling.py"
_MORE_SOURCES = {
    "IPAdapterImageEncoder": "image_encoder.py",
    "ControlNetUnionHint": _UNIONS,
    "ControlNetUnionModel": _UNIONS,
    "RRDBNet": _UPSCALERS,
    "SRVGGNetCompact": _UPSCALERS,
}
_made_by = functools.cache(made_by)


def is_fresh_here(folder: Path) -> bool:
    """Whether what the exporter of today would make lies there."""
    return folder.exists() and is_fresh(folder, made_here(architecture_of(folder)))


def made_here(architecture: Architecture) -> Mapping[str, str]:
    """What its graph is to be made by."""
    source = _MORE_SOURCES.get(architecture.class_name)
    return _made_by(*[source] if source else [])


def fill_from_kept(cache: Path) -> None:
    """Has the cache hold what the exporter of today has made; what it would make otherwise is exported when needed."""
    root = cache / GRAPHS
    for folder in KEPT.iterdir():
        with lock(root / f"{folder.name}.lock"):
            if not (root / folder.name).exists() and is_fresh_here(folder):
                graph = read_graph(folder / COMPRESSED_FILE)
                publish(architecture_of(folder), root, lambda path, graph=graph: path.write_bytes(graph))


def architecture_of(folder: Path) -> Architecture:
    """What the folder holds the graph of."""
    return Architecture.from_canonical((folder / REQUEST_FILE).read_text())


def architectures(root: Path) -> Iterable[Architecture]:
    """Those that a folder has graphs of, but for what is made in no time: of their kin's, or written down."""
    found = (architecture_of(file.parent) for file in sorted(root.glob(f"*/{REQUEST_FILE}")))
    return (each for each in found if not kin_of(each) and each.model != T2I_ADAPTER)


def export(architecture: Architecture) -> bytes:
    """The graph, traced in this process: torch is imported once for all."""
    exporter = importlib.import_module(program_for(architecture.class_name))
    graph: bytes = exporter.export_graph(architecture).SerializeToString(deterministic=True)
    return graph


def main() -> None:
    """Exports what is not fresh."""
    roots = [KEPT, *(Path(cache) / GRAPHS for cache in sys.argv[1:])]
    for architecture in (architecture for root in roots for architecture in architectures(root)):
        if not is_fresh_here(KEPT / artifact_key(architecture)):
            ship(architecture, export(architecture), KEPT, made_here(architecture))


if __name__ == "__main__":
    logging.getLogger("torch").setLevel(logging.ERROR)
    main()

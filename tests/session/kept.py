"""Graphs of the tests' checkpoints, kept in tests/graphs lest every first run export them: a tiny UNet's takes 20 s.

python -m tests.session.kept            export anew what is stale
python -m tests.session.kept CACHE      and keep what a run's cache has besides
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from pathlib import Path

from tools.ship_graphs import is_fresh, made_by, ship
from triptych.cache_folders import lock
from triptych.checkpoint import Architecture
from triptych.engine.cache.artifacts import COMPRESSED_FILE, GRAPHS, REQUEST_FILE, artifact_key, publish, read_graph
from triptych.engine.cache.kin import kin_of

KEPT = Path(__file__).parents[1] / "graphs"
# Of networks that no graph is shipped of.
_MORE_SOURCES = ("unions.py", "upscaling.py")


def made_here() -> dict[str, str]:
    """What a kept graph is to be made by."""
    return made_by(*_MORE_SOURCES)


def fill_from_kept(cache: Path) -> None:
    """Has the cache hold what the exporter of today has made; what it would make otherwise is exported when needed."""
    root, present = cache / GRAPHS, made_here()
    for folder in KEPT.iterdir():
        with lock(root / f"{folder.name}.lock"):
            if not (root / folder.name).exists() and is_fresh(folder, present):
                graph = read_graph(folder / COMPRESSED_FILE)
                publish(architecture_of(folder), root, lambda path, graph=graph: path.write_bytes(graph))


def architecture_of(folder: Path) -> Architecture:
    """What the folder holds the graph of."""
    return Architecture.from_canonical((folder / REQUEST_FILE).read_text())


def architectures(root: Path) -> Iterable[Architecture]:
    """Those that a folder has graphs of, but for UNets whose graph is made of their kin's in no time."""
    found = (architecture_of(file.parent) for file in sorted(root.glob(f"*/{REQUEST_FILE}")))
    return (architecture for architecture in found if not kin_of(architecture))


def export(architecture: Architecture) -> bytes:
    """The graph, traced in this process: torch is imported once for all."""
    from triptych.engine.exporter import export_graph

    return export_graph(architecture).SerializeToString(deterministic=True)


def main() -> None:
    """Exports what is not fresh."""
    present = made_here()
    roots = [KEPT, *(Path(cache) / GRAPHS for cache in sys.argv[1:])]
    for architecture in (architecture for root in roots for architecture in architectures(root)):
        if not is_fresh(KEPT / artifact_key(architecture), present):
            ship(architecture, export(architecture), KEPT, present)


if __name__ == "__main__":
    logging.getLogger("torch").setLevel(logging.ERROR)
    main()

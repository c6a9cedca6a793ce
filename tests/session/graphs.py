"""Exports the graphs of checkpoints in one process, where a stage would import torch anew for each of them.

python -m tests.session.graphs CACHE CHECKPOINT...
"""

from __future__ import annotations

import importlib
import logging
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from triptych.checkpoint import Component
from triptych.engine.build import open_models
from triptych.engine.cache import artifacts
from triptych.engine.exporting import program_for


def fill_cache(cache: Path, checkpoints: Iterable[Path]) -> None:
    """Has the cache hold what the stages will look for there."""
    if any(list(missing(cache, path)) for path in checkpoints):
        subprocess.run([sys.executable, "-m", "tests.session.graphs", cache, *checkpoints], check=True)


def missing(cache: Path, checkpoint: Path) -> Iterable[Component]:
    """The checkpoint's models whose graphs are neither shipped nor in the cache."""
    for component in open_models(checkpoint):
        if not artifacts.find_graph(component.architecture, cache):
            yield component


def export_here(_python: str, class_name: str, arguments: list[str]) -> None:
    """What run_exporter has another process do."""
    sys.argv[1:] = arguments
    if importlib.import_module(program_for(class_name)).main() != 0:
        sys.exit(1)


def main() -> None:
    """Exports one after the other."""
    cache, *checkpoints = map(Path, sys.argv[1:])
    artifacts.run_exporter = export_here
    for checkpoint in checkpoints:
        for component in missing(cache, checkpoint):
            artifacts.ensure_graph(component.architecture, cache, component=component)


if __name__ == "__main__":
    logging.getLogger("torch").setLevel(logging.ERROR)
    main()

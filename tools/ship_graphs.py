"""Exports the demo checkpoint's graphs into the package, so that the demo runs without torch.

Run after the demo checkpoint's architecture or the exporter changed:  python tools/ship_graphs.py
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from triptych.demo import checkpoint_path
from triptych.engine.build import open_models
from triptych.engine.cache.artifacts import SHIPPED, ensure_graph


def _say(message: str) -> None:
    sys.stderr.write(message + "\n")


def main() -> int:
    """Replaces what is shipped."""
    shutil.rmtree(SHIPPED, ignore_errors=True)
    with tempfile.TemporaryDirectory() as cache:
        for component in open_models(checkpoint_path()):
            graph = ensure_graph(component.architecture, Path(cache), _say)
            target = SHIPPED / graph.parent.name
            shutil.copytree(graph.parent, target)
            (target / "architecture.json").chmod(0o644)
            sys.stderr.write(f"{target.name}: {graph.stat().st_size} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

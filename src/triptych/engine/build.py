"""Makes all artifacts of a checkpoint ahead of time, which is what `triptych build` does."""

from __future__ import annotations

from pathlib import Path

from triptych.checkpoint import Checkpoint
from triptych.engine.artifacts import Progress, ensure_graph


def build_checkpoint(path: Path, cache_dir: Path, progress: Progress) -> list[Path]:
    """The graphs of every model of the checkpoint, exported where the cache lacks them."""
    checkpoint = Checkpoint.open(path)
    return [ensure_graph(part.architecture, cache_dir, progress) for part in checkpoint.components.values()]

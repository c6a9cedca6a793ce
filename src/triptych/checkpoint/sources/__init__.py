"""Where a checkpoint's parts come from; another kind of place is its own file here."""

from __future__ import annotations

from pathlib import Path

from triptych.checkpoint.sources.base import Prediction, Source, Told
from triptych.checkpoint.sources.folder import Folder
from triptych.checkpoint.sources.single_file import SingleFile

__all__ = ["Prediction", "Source", "Told", "open_source"]


def open_source(path: Path) -> Source:
    """The source that a path is; CheckpointInvalidError says what it is instead, and what to do."""
    return SingleFile.open(path) if path.is_file() else Folder(path)

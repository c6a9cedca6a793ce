"""Where a checkpoint's parts come from; another kind of place is its own file here."""

from __future__ import annotations

from pathlib import Path

from triptych.checkpoint.sources.base import Prediction, Source, Told
from triptych.checkpoint.sources.folder import Folder
from triptych.checkpoint.sources.single_file import SingleFile
from triptych.errors import invalid

__all__ = ["Prediction", "Source", "Told", "open_source"]


def open_source(path: Path, variant: str = "") -> Source:
    """The source that a path is; CheckpointInvalidError says what it is instead, and what to do.

    `variant` is diffusers', for the weights of a folder.
    """
    if not path.is_file():
        return Folder(path, variant)
    if variant:
        raise invalid("variant", f"{path} is a single file, which has no variants")
    return SingleFile.open(path)

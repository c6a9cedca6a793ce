"""Paths as text between processes, whatever a process takes file names for.

Triton's stub starts Python so that file names are ASCII: a "ü" there is two escaped bytes, and no setting reaches it.
A path that came as text becomes one by `path_from_text`, and text again by `text_from_path` before anything that is not
Python's own file functions gets it. In a process whose file names are UTF-8 both change nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

from triptych.errors import invalid


def path_from_text(text: str) -> Path:
    """The path of that name, as this process's file functions want it."""
    return Path(os.fsdecode(text.encode(errors="surrogateescape")))


def text_from_path(path: str | Path) -> str:
    """The name as people and other programs write it; also of a message that holds paths."""
    return str(path).encode(errors="surrogateescape").decode(errors="replace")


def told_path(field: str, path: str | os.PathLike[str]) -> str:
    """The name for another process, from one whose file names may be of any encoding.

    InvalidArgumentError about the field where it is no UTF-8, and so no text.
    """
    try:
        return os.fsencode(path).decode()
    except UnicodeError as error:
        raise invalid(field, f"{os.fspath(path)!r} is not UTF-8; rename it, or give a link to it") from error

"""What is written down of a checkpoint for the next run, and whether what a file says can be that."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from triptych.contract.engines import parse_engines
from triptych.contract.names import CHECKPOINT_NAME
from triptych.errors import InvalidArgumentError

_KINDS = {"path": str, "engine": str, "loaded": bool}


def written(path: Path, engine: str, *, loaded: bool) -> dict[str, Any]:
    """One checkpoint's entry, under its name."""
    return {"path": str(path), "engine": engine, "loaded": loaded}


def is_sound(name: str, kept: Any) -> bool:
    """Whether `written` can have made the entry."""
    if not (CHECKPOINT_NAME.fullmatch(name) and isinstance(kept, dict)):
        return False
    if not all(isinstance(kept.get(key), kind) for key, kind in _KINDS.items()):
        return False
    try:
        parse_engines(kept["engine"])
        return b"\0" not in os.fsencode(kept["path"]) and Path(kept["path"]).is_absolute()
    except (InvalidArgumentError, UnicodeEncodeError):
        return False

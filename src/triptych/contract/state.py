"""What an orchestrator keeps in its state folder, as far as whoever starts one needs to know."""

from __future__ import annotations

import json
from pathlib import Path

CHECKPOINTS_FILE = "checkpoints.json"


def keeps_checkpoints(folder: Path) -> bool:
    """Whether an orchestrator with this state folder takes up checkpoints of an earlier run."""
    try:
        return bool(json.loads((folder / CHECKPOINTS_FILE).read_text()))
    except (OSError, ValueError, RecursionError):  # none, or a file that says nothing
        return False

"""Keep a training run's state on disk, so that it can stop and go on, and pace it by the clock."""

import logging
import time
from pathlib import Path
from typing import Any

import torch

logger = logging.getLogger(__name__)


def save_snapshot(path: Path, state: dict[str, Any]) -> None:
    """Write ``state`` to ``path`` in one move, so that a kill in between leaves the old file whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save(state, partial)
    partial.replace(path)


def load_snapshot(path: Path) -> dict[str, Any] | None:
    """Return what ``save_snapshot`` wrote, or None when there is none."""
    if not path.exists():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


class Pace:
    """Tells how much of a training budget is used, across restarts, and the learning rate to go with it."""

    def __init__(self, budget_s: float, used_s: float = 0.0, save_every_s: float = 120.0) -> None:
        """Start the clock with ``used_s`` seconds of the ``budget_s`` already used by earlier runs."""
        self.budget_s = budget_s
        self._started_s = time.monotonic() - used_s
        self._save_every_s = save_every_s
        self._saved_s = time.monotonic()

    @property
    def used_s(self) -> float:
        """Seconds of training so far, earlier runs included."""
        return time.monotonic() - self._started_s

    @property
    def progress(self) -> float:
        """Share of the budget used, 0 to 1."""
        return min(1.0, self.used_s / self.budget_s)

    def save_is_due(self) -> bool:
        """Whether a snapshot should be written now; asking and getting True restarts the interval."""
        if time.monotonic() - self._saved_s < self._save_every_s:
            return False
        self._saved_s = time.monotonic()
        return True

    def learning_rate(self, peak: float, step: int, warmup_steps: int = 50) -> float:
        """Linear warm-up, then ``peak``, and from 70% of the budget on a straight line to a twentieth of it."""
        warm = min(1.0, (step + 1) / warmup_steps)
        return peak * warm * min(1.0, 0.05 + 0.95 * (1.0 - self.progress) / 0.3)

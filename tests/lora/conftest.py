"""The tiny checkpoints, opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.checkpoint import Checkpoint, Component

Components = dict[str, Component]


@pytest.fixture(scope="session")
def opened(checkpoints: dict[str, Path]) -> dict[str, Components]:
    """Components by family, "sd1" (convolutions as projections) and "sd2" (matrices)."""
    return {family: dict(Checkpoint.open(checkpoints[family]).components) for family in ("sd1", "sd2")}

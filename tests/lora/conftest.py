"""The tiny checkpoints, opened."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.checkpoint import Checkpoint, Component

Components = dict[str, Component]


@pytest.fixture(scope="session")
def opened(checkpoints: dict[str, Path], sdxl: Path) -> dict[str, Components]:
    """Components by family: "sd1" (convolutions as projections), "sd2" (matrices) and "sdxl" (two text encoders)."""
    paths = {family: checkpoints[family] for family in ("sd1", "sd2")} | {"sdxl": sdxl}
    return {family: dict(Checkpoint.open(path).components) for family, path in paths.items()}

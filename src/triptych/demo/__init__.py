"""The demo checkpoint that comes with the package: small enough to make a picture in seconds on a CPU."""

from __future__ import annotations

from pathlib import Path

from triptych.errors import NotFoundError


def checkpoint_path() -> Path:
    """The diffusers-format directory of the demo checkpoint."""
    path = Path(__file__).parent / "checkpoint"
    if not (path / "model_index.json").is_file():
        raise NotFoundError(
            f"the demo checkpoint is missing: {path} has no model_index.json; name a checkpoint of your own"
        )
    return path

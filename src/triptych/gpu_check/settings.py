"""What a check is told, and what it measures unless told otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from triptych.contract.engines import DEVICE
from triptych.errors import invalid
from triptych.measuring.checkpoints import SIZES

# The families that are served; of each a checkpoint of random weights in its real size is made.
MODELS = ("sd15", "sd21", "sdxl")
EDGES = (512, 768, 1024)
MINUTES = 25.0


@dataclass(frozen=True)
class Settings:
    """`page` is written as the check goes, and beside it the same as JSON, which a later run adds to.

    `devices` empty: the GPUs that are found. `only`: words that a row's name must all have. `resume` leaves out rows
    that an earlier run measured on the same machine with the same versions.
    """

    page: Path
    folder: Path  # of checkpoints, graphs and engines
    minutes: float = MINUTES
    models: Sequence[str] = MODELS
    edges: Sequence[int] = EDGES
    steps: int = 50
    rounds: int = 3
    devices: Sequence[str] = ()
    only: Sequence[str] = ()
    resume: bool = False
    wheels: Path | None = None
    tests: bool = True

    def validate(self) -> None:
        """InvalidArgumentError about the first field that is wrong."""
        for field in ("models", "edges"):
            if not getattr(self, field):
                raise invalid(field, "names none")
        for name in self.models:
            if name not in SIZES:
                raise invalid("models", f"{name!r} is none of {', '.join(SIZES)}")
        for edge in self.edges:
            if edge < 64 or edge % 64:
                raise invalid("edges", f"{edge} is not a multiple of 64")
        for device in self.devices:
            if not DEVICE.fullmatch(device):
                raise invalid("device", f"{device!r} is neither cpu nor cuda:<index>")
        for field in ("minutes", "steps", "rounds"):
            if not getattr(self, field) > 0:
                raise invalid(field, f"{getattr(self, field)} is not above 0")
        if self.wheels is not None and not self.wheels.is_dir():
            raise invalid("wheels", f"{self.wheels} is not a directory")

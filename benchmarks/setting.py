"""What every benchmark is told: where checkpoints and graphs are kept, and how often to measure."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import triptych
from triptych.embedded import LocalStack
from triptych.measuring.adapters import ensure_ip_adapter, ensure_t2i_adapter
from triptych.measuring.checkpoints import SIZES, ensure_checkpoint
from triptych.measuring.controlnets import ensure_controlnet


@dataclass(frozen=True)
class Setting:
    """The command line's values; `size` is the picture's edge in pixels, `models` a name of SIZES."""

    folder: Path
    rounds: int
    steps: int
    size: int
    models: str

    @classmethod
    def of(cls, arguments: argparse.Namespace) -> Setting:
        """From parsed arguments."""
        folder = arguments.folder.expanduser().absolute()
        folder.mkdir(parents=True, exist_ok=True)
        return cls(folder, arguments.rounds, arguments.steps, arguments.size, arguments.unet)

    @property
    def cache_dir(self) -> Path:
        """Where graphs are kept."""
        return self.folder / "cache"

    def checkpoint(self) -> Path:
        """The checkpoint, made if it is not there."""
        return ensure_checkpoint(self.folder / self.models, SIZES[self.models])

    def controlnet(self) -> Path:
        """A ControlNet for it, made if it is not there."""
        return ensure_controlnet(self.folder / f"{self.models}-controlnet", SIZES[self.models])

    def t2i_adapter(self) -> Path:
        """A T2I-Adapter for it, likewise."""
        return ensure_t2i_adapter(self.folder / f"{self.models}-t2i-adapter", SIZES[self.models])

    def ip_adapter(self) -> Path:
        """An IP-Adapter for it, with the image encoder of ViT-H's size for one of real size, likewise."""
        return ensure_ip_adapter(self.folder / f"{self.models}-ip-adapter", SIZES[self.models])

    def stack(self, checkpoint: Path, placement: Path | None = None) -> LocalStack:
        """Triptych as a user starts it, serving one checkpoint under the name "bench"."""
        return triptych.local(
            {"bench": checkpoint}, cache_dir=self.cache_dir, placement=placement, startup_timeout_s=1200.0
        )

    def parameters(self) -> dict[str, Any]:
        """What both sides are asked for, prompt aside."""
        return {"num_inference_steps": self.steps, "width": self.size, "height": self.size, "seed": 7}

    def describe(self) -> str:
        """What the figures are of, for a table's title."""
        return f"{self.models} checkpoint, {self.size}x{self.size}"

"""What people choose of a checkpoint when they register it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class Registered:
    """What a checkpoint was registered with, "" for what was left open.

    `vae` and `image_encoder` are paths of others than its own.
    """

    engine: str = ""
    variant: str = ""
    prediction_type: str = ""
    vae: str = ""
    image_encoder: str = ""

    @classmethod
    def of(cls, kept: Mapping[str, Any]) -> Registered:
        """From what was written down of it, by an older version maybe."""
        return cls(**{field: kept[field] for field in asdict(cls()) if field in kept})

    def given(self, **choices: str | None) -> Registered:
        """The same but for the choices that are not None."""
        return replace(self, **{field: choice for field, choice in choices.items() if choice is not None})

    @property
    def models(self) -> tuple[str, ...]:
        """What the stages' models depend on."""
        return self.engine, self.variant, self.vae, self.image_encoder

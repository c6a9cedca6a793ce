"""The operator's presets: named mixtures of a checkpoint, LoRAs with weights, and defaults, in a TOML or JSON file.

default_checkpoint = "sd15"

[lora_checkpoints]
ink = "sdxl"

[presets.poster]
checkpoint = "sdxl"
loras = [["ink", 0.8]]
defaults = { num_inference_steps = 20, negative_prompt = "blurry" }
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from triptych.errors import invalid
from triptych.sdk.parameters import GenerateParameters
from triptych_gateway.described import Body, described
from triptych_gateway.rest.parameters import AS_JSON, Lora

_BY_CALLERS = (
    "checkpoint", "loras", "image", "mask_image", "controls", "guess_mode", "request_id", "preview_every_steps",
)  # fmt: skip

Defaults: Any = described("Defaults", GenerateParameters, Body, AS_JSON, without=_BY_CALLERS)


class Preset(BaseModel):
    """One of them."""

    model_config = ConfigDict(extra="forbid")

    checkpoint: str | None = None
    loras: list[Lora] = Field(default_factory=list)
    defaults: Defaults = Field(default_factory=Defaults)

    @property
    def parameters(self) -> dict[str, Any]:
        """Its defaults, by the SDK's names."""
        told: dict[str, Any] = self.defaults.model_dump(exclude_none=True)
        return told


class Presets(BaseModel):
    """All of them, and which checkpoint is meant where nobody says."""

    model_config = ConfigDict(extra="forbid")

    default_checkpoint: str | None = None
    lora_checkpoints: dict[str, str] = Field(default_factory=dict)  # for LoRAs that are not for the default one
    presets: dict[str, Preset] = Field(default_factory=dict)


def read_presets(path: Path | None) -> Presets:
    """InvalidArgumentError about the file, and the field in it, that is wrong; None: there are none."""
    if path is None:
        return Presets()
    try:
        raw = path.read_bytes()
        told = json.loads(raw) if path.suffix == ".json" else tomllib.loads(raw.decode())
        return Presets.model_validate(told)
    except OSError as error:
        raise invalid("presets", f"{path} cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise invalid("presets", f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (ValueError, RecursionError) as error:
        raise invalid("presets", f"{path} is no {'JSON' if path.suffix == '.json' else 'TOML'}: {error}") from error

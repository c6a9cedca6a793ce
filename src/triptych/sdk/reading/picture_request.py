"""What is known of how a picture was made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from triptych.errors import InvalidArgumentError, invalid


@dataclass(frozen=True)
class PictureRequest:
    """`client.generate(**request.parameters)` makes the picture again, as far as `left_out` does not say otherwise."""

    parameters: dict[str, Any]
    """For `generate` and `stream`, the prompt among them."""
    left_out: list[str]
    """What the picture says, and this does not ask for, each with its reason."""
    origin: str
    """Who wrote it down: "triptych", "a1111" or "comfyui"."""
    index: int = 0
    """Which of the pictures that the request makes it is."""
    files: dict[str, list[str]] = field(default_factory=dict)
    """SHA-256 of the files that were sent, by parameters, "image" say: no picture holds them, so bring them."""
    made_of: Mapping[str, Any] = field(default_factory=dict)
    """Of one of Triptych's: digests, engines and versions, by checkpoints, LoRAs and models."""
    hashes: Mapping[str, str] = field(default_factory=dict)
    """By which "checkpoint" and "vae" are known elsewhere: SHA-256, or as many letters of it as were told."""
    nested_files: Mapping[str, list[dict[str, str | list[str]]]] = field(default_factory=dict)
    """What `files` has of parameters that are lists, "controls" say: of each of their members by its own fields."""


def json_object(text: str, whose: str) -> dict[str, Any]:
    """A stranger's JSON; InvalidArgumentError where it is none, or no object."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise broken(whose) from error
    if not isinstance(value, dict):
        raise broken(whose)
    return value


def broken(whose: str) -> InvalidArgumentError:
    """The error about a text that is not what it should be."""
    return invalid("picture", f"the text in it that is {whose} is damaged")

"""What may be a name, for whoever gives one and for the server that takes it."""

from __future__ import annotations

import re
from pathlib import Path

from triptych.errors import invalid

CHECKPOINT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
# What A1111 takes for a name is the stem of a file's name; without the signs that a prompt's tag is made of.
_FILES = (".safetensors", ".ckpt", ".pt", ".pth")
LORA_NAME = re.compile(r"[\w()-][\w .()-]{0,127}")


def check_checkpoint_name(field: str, name: str) -> None:
    """InvalidArgumentError about the field where no checkpoint can have this name."""
    if not CHECKPOINT_NAME.fullmatch(name):
        raise invalid(field, f"{name!r} must be 1 to 64 letters, digits, '.', '_' or '-', the first no sign")


def checkpoint_name(path: Path) -> str:
    """What a checkpoint at a path may be called where nobody says: as its file or folder is, without odd signs."""
    stem = path.stem if path.suffix.lower() in _FILES else path.name
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("._-")[:64] or "checkpoint"


def check_lora_name(field: str, name: str) -> None:
    """Likewise of a LoRA."""
    if not LORA_NAME.fullmatch(name):
        problem = "must be 1 to 128 letters, digits, spaces, '.', '_', '-', '(' or ')', not led by a dot or a space"
        raise invalid(field, f"{name!r} {problem}")

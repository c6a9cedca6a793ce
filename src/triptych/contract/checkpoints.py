"""What to say where a checkpoint's path is no directory: clients, command line and servers say the same."""

from __future__ import annotations

import re
from pathlib import Path

_SINGLE_FILES = (".safetensors", ".ckpt", ".pt", ".pth", ".bin", ".gguf")
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
CONVERT = (
    "convert it with diffusers: StableDiffusionPipeline.from_single_file(FILE).save_pretrained(DIRECTORY), "
    "for SDXL StableDiffusionXLPipeline"
)


def not_a_directory(given: str) -> str:
    """What a path given for a checkpoint seems to be instead, and what to do; "" where nobody can tell."""
    path = Path(given)
    if path.suffix.lower() in _SINGLE_FILES or _is_file(path):
        return f"it is a single file, and a checkpoint is a directory in diffusers' format; {CONVERT}"
    if given.lower().startswith(("http:", "https:")):
        return "nothing is downloaded; download the whole repository and give its directory"
    if _HUB_ID.fullmatch(given):
        return (
            f"if it is a hub's name: nothing is downloaded; run `hf download {given}` and give the directory it prints"
        )
    return ""


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long, say
        return False

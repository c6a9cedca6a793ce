"""As many ControlNets as a benchmark wants of one file.

paths = copies(setting.controlnet(), scratch, count=3)
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from triptych.sdk import Client


def copies(controlnet: Path, scratch: Path, count: int) -> list[Path]:
    """Folders of their own, so that nothing is known of one by another; their weights are one file, read once."""
    made = [scratch / f"net-{number}" for number in range(count)]
    for number, folder in enumerate(made):
        folder.mkdir()
        for file in controlnet.iterdir():
            os.link(file, folder / file.name) if file.suffix == ".safetensors" else _copy(file, folder, number)
    return made


def _copy(file: Path, folder: Path, number: int) -> None:
    (folder / file.name).write_text(json.dumps(json.loads(file.read_text()) | {"_name_or_path": str(number)}))


def register(client: Client, controlnet: Path, *, with_hash: bool = True) -> str:
    """Its name from then on."""
    client.register_checkpoint(controlnet.name, controlnet, with_hash=with_hash)
    return controlnet.name

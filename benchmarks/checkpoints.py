"""Variants of a checkpoint that one benchmark alone needs.

twin = widened(checkpoint, "unet")
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
from safetensors import safe_open

from triptych.checkpoint import Component


def widened(component: Component) -> Path:
    """A copy of its checkpoint, made beside that if it is not there, which has this component's weights as float32."""
    checkpoint = component.place.parent
    twin = checkpoint.with_name(f"{checkpoint.name}-{component.name}-fp32")
    if twin.is_dir():
        return twin
    building = checkpoint.with_name(f"{twin.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    shutil.copytree(checkpoint, building)
    for path in component.place.glob("*.safetensors"):
        _widen(path, building / component.name / path.name)
    return building.rename(twin)


def _widen(source: Path, target: Path) -> None:
    """One tensor after the other, for all of them together may be larger than the memory."""
    with safe_open(source, "np") as tensors, target.open("wb") as file:
        names = list(tensors.keys())
        header, end = {}, 0
        for name in names:
            shape = tensors.get_slice(name).get_shape()
            begin, end = end, end + 4 * int(np.prod(shape, dtype=np.int64))
            header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, end]}
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        file.write(len(text).to_bytes(8, "little") + text)
        for name in names:
            file.write(tensors.get_tensor(name).astype(np.float32).tobytes())

"""Variants of a checkpoint that one benchmark alone needs.

twin = merged(folder, lora)
"""

from __future__ import annotations

import json
import mmap
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from triptych.checkpoint import Checkpoint, Component
from triptych.contract import LORA_MODELS
from triptych.engine.weights import float32_weights
from triptych.lora import LoraFile, Target, find_targets, merge


def merged(folder: Path, lora: Path) -> Path:
    """A copy of a checkpoint, made beside it if it is not there, that has a LoRA in its weights, which are float32."""
    twin = folder.with_name(f"{lora.stem}-merged-fp32")
    if twin.is_dir():
        return twin
    building = folder.with_name(f"{twin.name}.building")
    shutil.rmtree(building, ignore_errors=True)
    shutil.copytree(folder, building)
    components = Checkpoint.open(folder).components
    for model in (model for model in LORA_MODELS if model in components):
        targets = find_targets(LoraFile.open(lora), model, components[model])
        (file,) = {info.path for info in components[model].weights.values()}
        _write(building / file.relative_to(folder), components[model], targets)
    return building.rename(twin)


def _write(path: Path, component: Component, targets: Sequence[Target]) -> None:
    """One tensor after the other, for all of them together may be larger than the memory."""
    header, end = {}, 0
    for name, info in component.weights.items():
        begin, end = end, end + 4 * int(np.prod(info.shape, dtype=np.int64))
        header[name] = {"dtype": "F32", "shape": info.shape, "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for array in _sums(component, targets):
            file.write(array.tobytes())


def _sums(component: Component, targets: Sequence[Target]) -> Iterator[npt.NDArray[np.float32]]:
    maps: dict[Path, mmap.mmap] = {}
    for name, base in float32_weights(component, component.weights):
        yield merge(base, [(target, 1.0) for target in targets if target.parameter == name], maps)

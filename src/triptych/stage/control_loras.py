"""Makes a ControlNet of a control-LoRA and the UNet that it stands over, in that UNet's own types."""

from __future__ import annotations

import mmap
from pathlib import Path
from typing import Any

import numpy.typing as npt

from triptych.checkpoint import Component
from triptych.engine.weights import Maps, held_weights
from triptych.errors import invalid
from triptych.lora import LoraModule, Target, merge
from triptych.lora.algorithms import LOW_RANK


def merged(component: Component, maps: Maps) -> dict[str, npt.NDArray[Any]]:
    """What every weight that the component has factors for becomes: W + up @ down; `maps` are of its files."""
    files: dict[Path, mmap.mmap] = {}
    arrays = {}
    for name, factors in component.factors.items():
        if (info := component.weights.get(name)) is None or info.shape != factors.shape:
            problem = f"{factors.up.path} changes {name} {factors.shape}, and the checkpoint's UNet has"
            raise invalid("controlnets", f"{problem} {info.shape if info else 'none'}; it is for another one")
        module = LoraModule(name, LOW_RANK, factors._asdict())
        ((_, base),) = held_weights(component, [name], maps)
        arrays[name] = merge(base, [(Target(name, module), 1.0)], files)
    return arrays

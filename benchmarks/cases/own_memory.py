"""Memory of their own that all processes take together, files' pages aside, for a checkpoint in half precision.

One UNet, then two of one core each with a LoRA over every Linear layer, whose halves of guidance have both merge it.
Then the same LoRA on the same UNet widened in its files, where merged weights are not rounded: how far the pictures
are apart.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.checkpoints import widened
from benchmarks.placements import two_cores, unet_on_each
from benchmarks.processes import PeakMemory, processes_of
from benchmarks.report import print_judgement, print_table
from benchmarks.setting import Setting
from triptych.checkpoint import Checkpoint
from triptych.contract import UNET
from triptych.measuring.loras import ensure_lora, linears
from triptych.sdk import Client

TARGET_ONE_GIGABYTES = 6.0
TARGET_TWO_GIGABYTES = 14.0
_LORA = "every-linear"


def run(setting: Setting) -> bool:
    """Prints the tables; whether both targets are met."""
    checkpoint = setting.checkpoint()
    unet = Checkpoint.open(checkpoint).components[UNET.name]
    lora = ensure_lora(setting.folder / f"{setting.models}-{_LORA}.safetensors", unet, 1, linears(unet))
    print(f"anonymous and shared memory in GB at its greatest, {setting.describe()}")
    local = setting.stack(checkpoint)
    with local as client, PeakMemory(partial(processes_of, local.stack)) as one:
        plain = _picture(client, setting)
    _print_parts("one UNet", one)
    local = setting.stack(checkpoint, unet_on_each(setting.folder, two_cores()))
    with local as client, PeakMemory(partial(processes_of, local.stack)) as two:
        client.add_lora(_LORA, lora)
        rounded = _picture(client, setting, loras=[_LORA])
    _print_parts(f"two UNets, a LoRA over {len(linears(unet))} matrices", two)
    met = print_judgement("one UNet", one.gigabytes, TARGET_ONE_GIGABYTES, " GB")
    met = print_judgement("two UNets with a LoRA", two.gigabytes, TARGET_TWO_GIGABYTES, " GB") and met
    _print_distances(plain, rounded, _unrounded(setting, widened(unet), lora))
    return met


def _unrounded(setting: Setting, checkpoint: Path, lora: Path) -> Any:
    with setting.stack(checkpoint) as client:
        client.add_lora(_LORA, lora)
        return _picture(client, setting, loras=[_LORA])


def _picture(client: Client, setting: Setting, **more: Any) -> Any:
    (image,) = client.generate("a red circle", **setting.parameters(), **more).images
    return np.asarray(image, np.int16)


def _print_parts(title: str, peak: PeakMemory) -> None:
    rows = [(name, f"{gigabytes:.2f}") for name, gigabytes in peak.parts.items()]
    print_table((title, "GB"), [*rows, ("sum", f"{peak.gigabytes:.2f}")])


def _print_distances(plain: Any, rounded: Any, unrounded: Any) -> None:
    pairs = {
        "merged in half precision, in float32": (rounded, unrounded),
        "with the LoRA, without": (rounded, plain),
    }
    distances = {name: np.abs(one - other) for name, (one, other) in pairs.items()}
    rows = [(name, f"{each.max()}", f"{each.mean():.3f}") for name, each in distances.items()]
    print_table(("distance of pictures, in 255ths", "greatest", "mean"), rows)

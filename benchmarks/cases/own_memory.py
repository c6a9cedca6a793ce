"""Memory of their own that all processes take together, files' pages aside, for a checkpoint in half precision.

One UNet, then two of one core each with a LoRA over every Linear layer of UNet and text encoders, which the halves of
guidance have both UNets merge. Then the same LoRA merged in float32, in the files of another checkpoint: how far
rounding the merged weights moves the picture.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from benchmarks.checkpoints import merged
from benchmarks.placements import two_cores, unet_on_each
from benchmarks.processes import peak_of_own, processes_of
from benchmarks.report import print_judgement, print_table
from benchmarks.setting import Setting
from triptych.checkpoint import Checkpoint
from triptych.embedded import LocalStack
from triptych.measuring.loras import ensure_whole_lora
from triptych.measuring.memory import PeakMemory
from triptych.sdk import Client

TARGET_ONE_GIGABYTES = 6.0
TARGET_TWO_GIGABYTES = 14.0
_LORA = "every-linear"


def run(setting: Setting) -> bool:
    """Prints the tables; whether both targets are met."""
    checkpoint = setting.checkpoint()
    components = Checkpoint.open(checkpoint).components
    lora = ensure_whole_lora(setting.folder / f"{setting.models}-{_LORA}.safetensors", components, 1)
    print(f"anonymous and shared memory in GB at its greatest, {setting.describe()}")
    local = setting.stack(checkpoint)
    with local as client, _peak(local) as one:
        plain = _picture(client, setting)
    _print_parts("one UNet", one)
    local = setting.stack(checkpoint, unet_on_each(setting.folder, two_cores()))
    with local as client, _peak(local) as two:
        client.add_lora(_LORA, lora)
        rounded = _picture(client, setting, loras=[_LORA])
    _print_parts("two UNets with a LoRA", two)
    met = print_judgement("one UNet", one.bytes / 10**9, TARGET_ONE_GIGABYTES, " GB")
    met = print_judgement("two UNets with a LoRA", two.bytes / 10**9, TARGET_TWO_GIGABYTES, " GB") and met
    with setting.stack(merged(checkpoint, lora)) as client:
        _print_distances(plain, rounded, _picture(client, setting))
    return met


def _peak(local: LocalStack) -> PeakMemory:
    return peak_of_own(partial(processes_of, local.stack))


def _picture(client: Client, setting: Setting, **more: Any) -> Any:
    (image,) = client.generate("a red circle", **setting.parameters(), **more).images
    return np.asarray(image, np.int16)


def _print_parts(title: str, peak: PeakMemory) -> None:
    parts = {**peak.parts, "sum": peak.bytes}
    print_table((title, "GB"), [(name, f"{size / 10**9:.2f}") for name, size in parts.items()])


def _print_distances(plain: Any, rounded: Any, unrounded: Any) -> None:
    pairs = {
        "merged in half precision, in float32": (rounded, unrounded),
        "with the LoRA, without": (rounded, plain),
    }
    distances = {name: np.abs(one - other) for name, (one, other) in pairs.items()}
    rows = [(name, f"{each.max()}", f"{each.mean():.3f}") for name, each in distances.items()]
    print_table(("distance of pictures, in 255ths", "greatest", "mean"), rows)

"""What a batch has of its samples' ControlNets beside a UNet's own inputs, named so that unlike ones are run apart."""

from __future__ import annotations

from collections.abc import Sequence

from triptych.engine.kept import stacked, times
from triptych.engine.port import Array
from triptych.errors import invalid
from triptych.stage import Batch
from triptych_unet.controls import Control

_STEM = "control"


def gathered(samples: Sequence[Sequence[Control]], scales: Array) -> Batch:
    """What each ControlNet of the samples, which have the same, takes in a step, and scales [B, residuals]."""
    batch: Batch = {}
    for place, column in enumerate(zip(*samples, strict=True)):
        number = column[0].loaded.number
        if any(control.loaded.number != number for control in column):
            raise invalid("control_keys", "the samples of a request must be under the same ControlNets, in one order")
        stem = f"{_STEM}:{place}:{number}"
        for name in column[0].inputs:
            batch[f"{stem}:{name}"] = stacked([control.inputs[name] for control in column])
        batch[f"{stem}:scales"] = scales[:, place]
    return batch


def scaled(features: Batch) -> Batch:
    """A T2I-Adapter's, each multiplied by a scale of its own in each sample."""
    scales = features["scales"]
    own = [(name, array) for name, array in features.items() if name != "scales"]
    return {name: times(array, scales[:, place]) for place, (name, array) in enumerate(own)}


def parted(batch: Batch) -> tuple[Batch, list[tuple[int, Batch]]]:
    """A UNet's own inputs, and for each ControlNet, by its number, what it takes besides those."""
    own, controls = {}, dict[str, Batch]()
    for name, array in batch.items():
        if name.startswith(f"{_STEM}:"):
            stem, _, what = name.rpartition(":")
            controls.setdefault(stem, {})[what] = array
        else:
            own[name] = array
    return own, [(int(stem.rpartition(":")[2]), inputs) for stem, inputs in controls.items()]

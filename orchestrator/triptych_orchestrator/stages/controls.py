"""A sample's ControlNets on their way to a UNet: keys and scales on every call, the rest where a key is not held."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from triptych.contract.controls import ControlContent, ControlNet, control_key
from triptych_orchestrator.stages.triton import Tensors


@dataclass(frozen=True)
class Control:
    """A ControlNet and the picture that it looks at, or several: RGB, height x width x 3, the size that is drawn."""

    content: ControlContent
    image: bytes

    @property
    def net(self) -> ControlNet:
        """Which one."""
        return self.content.net

    @cached_property
    def key(self) -> bytes:
        """What names both to a replica."""
        return control_key(self.content.encoded(), self.image)


@dataclass(frozen=True, eq=False)
class Scaled:
    """A control in one step: what each of its residuals is multiplied by, the middle's last."""

    control: Control
    scales: npt.NDArray[np.float32]


# One sample's in one step.
Controls = tuple[Scaled, ...]


def control_tensors(samples: Sequence[Controls], held: Collection[bytes]) -> Tensors:
    """The inputs of samples that have as many each; what is not `held` is brought once."""
    if not samples[0]:
        return {}
    tensors: Tensors = {
        "control_keys": np.stack([[np.frombuffer(one.control.key, np.uint8) for one in each] for each in samples]),
        "control_scales": np.stack([[one.scales for one in each] for each in samples]),
    }
    missing = {one.control.key: one.control for each in samples for one in each if one.control.key not in held}
    if not missing:
        return tensors
    told, images = (np.full((len(samples), len(samples[0])), b"", np.object_) for _ in range(2))
    for row, each in enumerate(samples):
        for place, one in enumerate(each):
            if control := missing.pop(one.control.key, None):
                told[row, place], images[row, place] = control.content.encoded(), control.image
    return tensors | {"controlnets": told, "control_images": images}


def keys_of(samples: Sequence[Controls]) -> set[bytes]:
    """All that they are under."""
    return {one.control.key for each in samples for one in each}

"""What steps must agree in to share a batch: computed here, and known to nobody else by its parts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from triptych.contract.controls import ControlNet
from triptych_orchestrator.stages.conditioning import Conditioning
from triptych_orchestrator.stages.controls import Controls
from triptych_orchestrator.stages.lora_sets import LoraSet


class Sample(NamedTuple):
    """One of a step: which conditioning, the latents [C, h, w], and under which ControlNets."""

    conditioning: Conditioning
    latents: npt.NDArray[np.float32]
    controls: Controls = ()


class Extent(NamedTuple):
    """One tensor of a sample, without the batch dimension."""

    name: str
    datatype: str
    dims: tuple[int, ...]


Extents = tuple[Extent, ...]


class Kind(NamedTuple):
    """What decides the cost of a sample: the extents of all tensors, and the graph, by the axes that tile."""

    extents: Extents
    tiling: str = ""


@dataclass(frozen=True)
class Signature:
    """Every tensor of a sample, whether or not it travels with the step, the weights that it wants, the axes along
    which its picture tiles, and the ControlNets that it is under: pictures, scales and windows may differ.

    A replica that keeps a conditioning puts it beside others' just as if it had come along, so that its extents count
    where the step brings its key alone.
    """

    extents: Extents
    lora_key: bytes
    tiling: str = ""
    controls: tuple[ControlNet, ...] = ()

    @property
    def kind(self) -> Kind:
        """Whatever the weights are."""
        return Kind(self.extents, self.tiling)

    @classmethod
    def of(cls, sample: Sample, lora_set: LoraSet, tiling: str = "") -> Signature:
        """All samples of a call have the same."""
        tensors = {"latents": sample.latents, **sample.conditioning.tensors}
        controls = tuple(one.control.net for one in sample.controls)
        return cls(extents_of(tensors), lora_set.key, tiling, controls)


def extents_of(tensors: Mapping[str, npt.NDArray[np.generic]]) -> Extents:
    """By name; the tensors have no batch dimension."""
    return tuple(Extent(name, array.dtype.str, array.shape) for name, array in sorted(tensors.items()))


def dims_of(extents: Extents, name: str) -> tuple[int, ...]:
    """Those of one tensor; none for one that there is not."""
    return next((extent.dims for extent in extents if extent.name == name), ())


def calls(samples: Sequence[Sample], lora_set: LoraSet, most: int) -> Iterator[list[Sample]]:
    """The samples in order, parted where their signature changes and after every `most`."""
    for _, alike in itertools.groupby(samples, lambda sample: Signature.of(sample, lora_set)):
        yield from _parted(list(alike), most)


def _parted(samples: list[Sample], most: int) -> Iterator[list[Sample]]:
    return (samples[start : start + most] for start in range(0, len(samples), most))

"""The model of networks that prepare pictures for ControlNets: a picture in, their maps out."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from triptych.checkpoint import Checkpoint
from triptych.contract import PREPROCESSOR
from triptych.engine.port import Array
from triptych.errors import InvalidArgumentError, invalid
from triptych.stage import Batch, StageModel

# Pixels each way for a network that has no size of its own: some want a multiple of 64 or 256, others of 14, or what
# they were exported at.
_WARM_UP_SIDES = (256, 224, 512, 518, 384)
_MOST_CLASSES = 256
# Maps that travel; beyond it is none that a picture is made of.
_MOST_MAPS = 128
# A gigabyte of them.
_MOST_NUMBERS = 1 << 28

Floats = npt.NDArray[np.float32]


class PreprocessorModel(StageModel):
    """`<name>.preprocessor`: image float32 [B, C, H, W] -> maps float32 [B, N, h, w].

    h and w are those of its largest maps, H and W at most; with `classes` N is 1, and each is of a pixel; with `exact`
    h and w may be any, and what is smaller than the largest lies in the upper left corner.
    """

    spec = PREPROCESSOR

    def warm_up_inputs(self, checkpoint: Checkpoint) -> Batch:
        """A picture of noise, for some networks divide by what they see; of the first size that this one takes."""
        config = self.component.architecture.config
        sides = [(config["height"] or side, config["width"] or side) for side in _WARM_UP_SIDES]
        noise = np.random.default_rng(0)
        refused = None
        for height, width in dict.fromkeys(sides):
            batch: Batch = {"image": noise.random((1, config["channels"], height, width), np.float32)}
            try:
                self.engine.infer(batch)
            except InvalidArgumentError as error:
                refused = error
            else:
                return batch
        assert refused is not None
        raise refused

    def prepare(self, batch: Batch) -> Batch:
        """As it is, if the network can take it."""
        config, shape = self.component.architecture.config, batch["image"].shape[1:]
        wanted = (config["channels"], config["height"], config["width"])
        if not all(shape) or any(own and own != extent for own, extent in zip(wanted, shape, strict=True)):
            told = " x ".join(str(extent or "any") for extent in wanted)
            raise invalid("image", f"is {' x '.join(map(str, shape))}, must be {told} (channels, height, width)")
        return batch

    def run(self, batch: Batch) -> Batch:
        """All of its maps in one size, for what lies between two of their pixels whoever draws of them knows."""
        classes, exact = (batch.pop(name, None) for name in ("classes", "exact"))
        outputs, (height, width) = self.infer(batch), batch["image"].shape[2:]
        samples = [[_maps(array[index]) for array in outputs.values()] for index in range(len(batch["image"]))]
        if classes is not None and classes.any():
            return {"maps": np.stack([_highest(_planes(maps, height, width)) for maps in samples])}
        if (count := sum(len(each) for each in samples[0])) > _MOST_MAPS:
            raise invalid("image", f"becomes {count} maps, of which nobody makes a picture; {_MOST_MAPS} are allowed")
        is_exact, largest = exact is not None and exact.any(), _largest(samples[0])
        height, width = largest if is_exact else (min(largest[0], height), min(largest[1], width))
        if count * height * width > _MOST_NUMBERS:
            raise invalid("image", f"becomes {count} maps of {width} x {height}, more than a stage sends")
        made = _beside if is_exact else _planes
        return {"maps": np.stack([np.stack([*made(maps, height, width)]) for maps in samples])}


def _maps(array: Array) -> Floats:
    """[N, h, w] of one sample's output [N, h, w] or [h, w]."""
    maps = array.astype(np.float32)[None] if array.ndim == 2 else array.astype(np.float32)
    if maps.ndim != 3 or not maps.size:
        raise invalid("image", f"becomes {list(array.shape)}, which are no maps [channels, height, width]")
    return maps


def _largest(maps: list[Floats]) -> tuple[int, int]:
    return max(each.shape[1] for each in maps), max(each.shape[2] for each in maps)


def _planes(maps: list[Floats], height: int, width: int) -> Iterator[Floats]:
    """One by one, for a hundred in a large picture's size are gigabytes."""
    for plane in (plane for each in maps for plane in each):
        yield np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_LINEAR), np.float32)


def _beside(maps: list[Floats], height: int, width: int) -> Iterator[Floats]:
    for plane in (plane for each in maps for plane in each):
        yield np.pad(plane, [(0, height - plane.shape[0]), (0, width - plane.shape[1])])


def _highest(planes: Iterator[Floats]) -> Floats:
    """[1, H, W]: of each pixel the number of the plane that is highest there, the first of equals."""
    best = next(planes)
    number = np.zeros(best.shape, np.float32)
    for place, plane in enumerate(planes, 1):
        if place == _MOST_CLASSES:
            raise invalid("image", f"becomes more than {_MOST_CLASSES} classes")
        higher = plane > best
        best, number = np.where(higher, plane, best), np.where(higher, np.float32(place), number)
    return number[None]

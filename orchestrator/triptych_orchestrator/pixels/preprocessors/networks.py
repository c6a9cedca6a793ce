"""What a preprocessor's network looks at, and how its maps come back to the picture's size.

looking = HED.look(pixels, 0, 0)
asked = next(looking)
image = asked.network.seen(asked.pixels, (0, 0))  # float32 [3, height, width], for whoever has the file
looking.send(Answer(maps, (width, height)))  # ends with the edges
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, Self

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
# [maps, height, width].
Floats = NDArray[np.float32]
# Maps in the picture's size, `threshold_a` and `threshold_b`.
Draw = Callable[[Floats, float, float], Pixels]
Size = tuple[int, int]

_IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Normalization:
    """Of colours from 0 to `white`; `order` is that of the channels: RGB, BGR, or L for grey alone."""

    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    white: float = 1.0
    order: str = "RGB"

    def __call__(self, pixels: Pixels) -> Floats:
        """[channels, height, width]."""
        values = self._ordered(pixels).astype(np.float32) * np.float32(self.white / 255)
        mean, std = (np.array(each[: values.shape[2]], np.float32) for each in (self.mean, self.std))
        values = (values - mean) / std
        return np.ascontiguousarray(values.transpose(2, 0, 1))

    def _ordered(self, pixels: Pixels) -> Pixels:
        if self.order == "L":
            return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), np.uint8)[..., None]
        return pixels if self.order == "RGB" else pixels[..., ::-1]


UNIT = Normalization()
BYTES = Normalization(white=255.0)
SIGNED = Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
IMAGENET = Normalization(*_IMAGENET)
IMAGENET_BGR = Normalization(*_IMAGENET, order="BGR")
UNIT_BGR = Normalization(order="BGR")
HALVED_BGR = Normalization((0.5, 0.5, 0.5), white=255 / 256, order="BGR")
GREY_BYTES = Normalization(white=255.0, order="L")


@dataclass(frozen=True)
class Network(ABC):
    """`name` is what its file is registered as; others may draw something else of the same maps.

    With `has_classes` the one map has each pixel's class; with `is_exact` what it gives is no maps of the picture, and
    comes as it is.
    """

    name: str
    normalized: Normalization
    has_classes: bool = field(default=False, kw_only=True)
    is_exact: bool = field(default=False, kw_only=True)

    def normalizing(self, **told: Any) -> Self:
        """The same for a file that wants its colours so, by the fields of `Normalization`."""
        return replace(self, normalized=replace(self.normalized, **told))

    @abstractmethod
    def size(self, picture: Size, own: Size) -> Size:
        """Width and height that a picture of that size is given in; `own` are the file's, 0 for one that is open."""

    @abstractmethod
    def seen(self, pixels: Pixels, own: Size) -> Floats:
        """The picture as it is given."""


class Ask(NamedTuple):
    """What a network is to look at."""

    network: Network
    pixels: Pixels


class Answer(NamedTuple):
    """What it makes of that; `size` is of what it was given, width and height."""

    maps: Floats
    size: Size


# Asks networks one after the other, is sent what each makes, and returns what is drawn of it.
Looking = Generator[Ask, Answer, Pixels]
# At a picture, with `threshold_a` and `threshold_b`.
Look = Callable[[Pixels, float, float], Looking]


@dataclass(frozen=True)
class Mapped(Network):
    """One of whose maps each pixel is drawn by itself.

    A file without a size of its own is given one whose extents are multiples of `multiple`, and at least `shortest`
    pixels each, from which its picture is stretched.
    """

    drawn: Draw
    multiple: int = 1
    shortest: int = 0

    def size(self, picture: Size, own: Size) -> Size:
        """The file's own, or the next that it takes."""
        if not self.shortest:
            width, height = (math.ceil(extent / self.multiple) * self.multiple for extent in picture)
        else:
            factor = self.shortest / min(picture)
            nearest = (round(extent * factor / self.multiple) * self.multiple for extent in picture)
            width, height = (max(extent, self._least) for extent in nearest)
        return own[0] or width, own[1] or height

    @property
    def _least(self) -> int:
        return math.ceil(self.shortest / self.multiple) * self.multiple

    def seen(self, pixels: Pixels, own: Size) -> Floats:
        """Stretched to that size."""
        size = self.size((pixels.shape[1], pixels.shape[0]), own)
        if size != pixels.shape[1::-1]:
            pixels = np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_CUBIC), np.uint8)
        return self.normalized(pixels)

    def look(self, pixels: Pixels, first: float, second: float) -> Looking:
        """Once; what is drawn is of the picture's size."""
        answer = yield Ask(self, pixels)
        return self.drawn(self.returned(answer.maps, pixels), first, second)

    def returned(self, maps: Floats, pixels: Pixels) -> Floats:
        """Its maps in the picture's size."""
        height, width, _ = pixels.shape
        if maps.shape[1:] == (height, width):
            return maps
        kind = cv2.INTER_NEAREST if self.has_classes else cv2.INTER_LINEAR
        return np.stack(
            [np.asarray(cv2.resize(each, (width, height), interpolation=kind), np.float32) for each in maps]
        )

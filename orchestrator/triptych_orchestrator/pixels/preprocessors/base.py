"""What a preprocessor is: its name, its parameters as A1111's extension has them, and what it does to pixels.

edges = CANNY.run(pixels, Settings(resolution=512, threshold_a=100, threshold_b=200))
"""

from __future__ import annotations

from collections.abc import Callable, Container
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from triptych_orchestrator.pixels.preprocessors.networks import Look, Looking, Network

# RGB, [height, width, 3].
Pixels = NDArray[np.uint8]
# Pixels, `threshold_a` and `threshold_b`; what comes back may be grey, [height, width], and of another size.
Work = Callable[[Pixels, float, float], Pixels]

# Each way, what a picture is padded to while it is worked at, as the extension does it.
_MULTIPLE = 64
# Requests share the cores with the stages; a picture is done in a fraction of a second on one.
cv2.setNumThreads(1)


@dataclass(frozen=True)
class Parameter:
    """A number from `minimum` to `maximum`."""

    label: str
    minimum: float
    maximum: float
    default: float
    step: float = 0.01


RESOLUTION = Parameter("Resolution", 64, 2048, 512, 8)


class Settings(NamedTuple):
    """`resolution` is of the shorter side, in pixels; what a preprocessor does not take it does not look at."""

    resolution: int
    threshold_a: float
    threshold_b: float


@dataclass(frozen=True)
class Preprocessor:
    """`resolution` None: it works at the picture's own size. `is_padded`: what it works at is padded, and cut again.

    One with `networks` does no `work` but has a `look` at the picture, by whoever can have a stage run them.
    """

    name: str
    control_types: tuple[str, ...]
    work: Work | None = None
    aliases: tuple[str, ...] = ()
    resolution: Parameter | None = RESOLUTION
    threshold_a: Parameter | None = None
    threshold_b: Parameter | None = None
    needs_mask: bool = False
    is_padded: bool = True
    networks: tuple[Network, ...] = ()
    look: Look | None = None

    def worked_size(self, size: tuple[int, int], resolution: int) -> tuple[int, int]:
        """Width and height that a picture of that size is worked at."""
        if self.resolution is None:
            return size
        factor = resolution / min(size)
        return round(size[0] * factor), round(size[1] * factor)

    def lacking(self, there: Container[str]) -> str:
        """What it cannot work without, where only those networks are there; "" where it can."""
        names = [network.name for network in self.networks if network.name not in there]
        if not names:
            return ""
        weights = "its network's weights: an ONNX file" if len(names) == 1 else "its networks' weights: ONNX files"
        remedies = " and ".join(f"`triptych preprocessors add {name} FILE`" for name in names)
        return f"{weights} that the operator adds, by {remedies}"

    def run(self, pixels: Pixels, settings: Settings) -> Pixels:
        """What the ControlNet is to look at, in RGB, by one without a network."""
        if self.work is None:
            raise RuntimeError(f"{self.name} is a network's")
        worked = self.work(self.begun(pixels, settings), settings.threshold_a, settings.threshold_b)
        return self.ended(worked, pixels, settings)

    def looking(self, pixels: Pixels, settings: Settings) -> Looking:
        """Likewise by one with networks."""
        if self.look is None:
            raise RuntimeError(f"{self.name} has no networks")
        drawn = yield from self.look(self.begun(pixels, settings), settings.threshold_a, settings.threshold_b)
        return self.ended(drawn, pixels, settings)

    def begun(self, pixels: Pixels, settings: Settings) -> Pixels:
        """As large as it is worked at, and padded."""
        if self.resolution is None:
            return pixels
        width, height = self.worked_size((pixels.shape[1], pixels.shape[0]), settings.resolution)
        kind = cv2.INTER_CUBIC if settings.resolution > min(pixels.shape[:2]) else cv2.INTER_AREA
        scaled = np.asarray(cv2.resize(pixels, (width, height), interpolation=kind), np.uint8)
        if self.is_padded:
            scaled = np.pad(scaled, [(0, -height % _MULTIPLE), (0, -width % _MULTIPLE), (0, 0)], mode="edge")
        return scaled

    def ended(self, worked: Pixels, pixels: Pixels, settings: Settings) -> Pixels:
        """What was made of it, in RGB and without what was padded."""
        if self.resolution is None:
            return rgb(worked)
        width, height = self.worked_size((pixels.shape[1], pixels.shape[0]), settings.resolution)
        return rgb(worked[:height, :width])


def rgb(pixels: Pixels) -> Pixels:
    """The same where it is in colour; of grey three channels."""
    colours = pixels if pixels.ndim == 3 else np.repeat(pixels[..., None], 3, axis=2)
    return np.ascontiguousarray(colours)

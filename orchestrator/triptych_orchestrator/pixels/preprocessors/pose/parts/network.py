"""A network that looks at a square of a picture."""

from __future__ import annotations

from dataclasses import dataclass

from triptych.errors import FailedPreconditionError
from triptych_orchestrator.pixels.preprocessors.networks import HALVED_BGR, Floats, Network, Normalization, Pixels, Size
from triptych_orchestrator.pixels.preprocessors.pose.plane import resized


@dataclass(frozen=True)
class PartNetwork(Network):
    """`side` is of the square that it is given, `count` how many maps it gives; of a file that gives more the last."""

    normalized: Normalization = HALVED_BGR
    side: int = 0
    count: int = 0

    def size(self, picture: Size, own: Size) -> Size:
        """The same for all pictures."""
        return own[0] or self.side, own[1] or self.side

    def seen(self, pixels: Pixels, own: Size) -> Floats:
        """Stretched to that."""
        return self.normalized(resized(pixels, self.size((pixels.shape[1], pixels.shape[0]), own)))

    def last(self, maps: Floats) -> Floats:
        """Those of its last stage."""
        if len(maps) < self.count:
            raise FailedPreconditionError(f"{self.name}'s file gives {len(maps)} maps, not {self.count}")
        return maps[-self.count :]

"""What makes pictures larger, by name: Pillow's filters, and whatever an operator has added to them.

upscalers = Upscalers()
pixels = await enlarged(pixels, upscalers.get("upscaler", "lanczos"), (1024, 1024))
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from triptych.errors import invalid
from triptych_orchestrator.library.entry import Entry

Pixels = npt.NDArray[np.uint8]
Size = tuple[int, int]
# Pixels [H, W, 3], the width and height that are wanted, the request's id. What comes back need not be of that size: a
# model multiplies by its own factor, and is best asked again where that is too little.
Enlarge = Callable[[Pixels, Size, str], Awaitable[Pixels]]

_FILTERS = {
    "lanczos": Image.Resampling.LANCZOS,
    "bicubic": Image.Resampling.BICUBIC,
    "bilinear": Image.Resampling.BILINEAR,
    "nearest": Image.Resampling.NEAREST,
}


@dataclass(frozen=True)
class Upscaler:
    """`takes_turn`: whether a request for it alone waits for its turn as one that draws does, since a stage works.

    `entry` is the network's, where it is one.
    """

    name: str
    enlarge: Enlarge
    takes_turn: bool = False
    entry: Entry | None = None


class Upscalers:
    """All that there are; Pillow's filters come first and cannot be replaced."""

    def __init__(self, added: Callable[[], Iterable[Upscaler]] = tuple) -> None:
        self._own = {name: Upscaler(name, _by_filter(kind)) for name, kind in _FILTERS.items()}
        self._added = added

    def names(self) -> list[str]:
        """Those to offer."""
        return list(self._all())

    def get(self, field: str, name: str) -> Upscaler:
        """InvalidArgumentError about the field where there is none of that name."""
        found = self._all()
        if name not in found:
            raise invalid(field, f"{name!r} is no upscaler of pictures; there are {', '.join(found)}")
        return found[name]

    def networks(self, names: Iterable[str]) -> dict[str, Entry]:
        """Of these names those that are networks, with their entries."""
        found = self._all()
        entries = {name: found[name].entry for name in names if name in found}
        return {name: entry for name, entry in entries.items() if entry}

    def _all(self) -> Mapping[str, Upscaler]:
        added = {upscaler.name: upscaler for upscaler in self._added()}
        return self._own | added | self._own


async def enlarged(pixels: Pixels, upscaler: Upscaler, size: Size, request_id: str = "") -> Pixels:
    """Pixels [H, W, 3] made that wide and high; where the upscaler makes another size, Lanczos does the rest."""
    pixels = await upscaler.enlarge(pixels, size, request_id)
    if pixels.shape[1::-1] == size:
        return pixels
    return await asyncio.to_thread(_resized, pixels, size, Image.Resampling.LANCZOS)


def _by_filter(kind: Image.Resampling) -> Enlarge:
    async def enlarge(pixels: Pixels, size: Size, request_id: str) -> Pixels:
        return await asyncio.to_thread(_resized, pixels, size, kind)

    return enlarge


def _resized(pixels: Pixels, size: Size, kind: Image.Resampling) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize(size, kind))

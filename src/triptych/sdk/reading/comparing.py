"""Two pictures side by side, the one made again of what the other says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from typing import Any

from PIL import Image, ImageChops

from triptych.errors import invalid


@dataclass(frozen=True)
class Difference:
    """Between pixels: how many are unlike, of how many, and the farthest value's distance, of 255."""

    pixels: int
    of: int
    farthest: int


def difference(ours: bytes, theirs: bytes) -> Difference:
    """InvalidArgumentError where their file is damaged; pictures of unlike sizes share no pixel."""
    mine, other = _pixels(ours), _pixels(theirs)
    count = mine.width * mine.height
    if mine.size != other.size:
        return Difference(count, count, 255)
    bands = ImageChops.difference(mine, other).split()
    farthest = bands[0]
    for band in bands[1:]:
        farthest = ImageChops.lighter(farthest, band)
    histogram = farthest.histogram()
    return Difference(count - histogram[0], count, max(level for level in range(256) if histogram[level]))


def _pixels(file: bytes) -> Image.Image:
    try:
        with Image.open(BytesIO(file), formats=["PNG", "JPEG", "WEBP"]) as image:
            return image.convert("RGB")
    except Exception as error:  # Pillow's decoders raise whatever a stranger's bytes lead them to
        raise invalid("picture", f"is damaged: {error}") from error


def unlike(before: Any, now: Any, path: str = "") -> Iterator[str]:
    """What differs in two texts' values, by its place in them."""
    if isinstance(before, dict) and isinstance(now, dict):
        for name in sorted({*before, *now}):
            yield from unlike(before.get(name), now.get(name), f"{path}.{name}" if path else name)
    elif isinstance(before, list) and isinstance(now, list) and len(before) == len(now):
        for number, pair in enumerate(zip(before, now, strict=True)):
            yield from unlike(*pair, f"{path}[{number}]" if len(before) > 1 else path)
    elif before != now:
        yield f"{path}: {_shown(before)} then, {_shown(now)} now"


def _shown(value: Any) -> str:
    return "none" if value is None else str(value)

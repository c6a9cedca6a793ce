"""How large pictures are to be made: so many times as large, or of a size."""

from __future__ import annotations

import math
from dataclasses import dataclass

from triptych.errors import invalid
from triptych_orchestrator.jobs.extents import Size

_DEFAULT_SCALE = 2.0
_MOST_SCALE = 16.0


@dataclass(frozen=True)
class Enlargement:
    """As it was asked for: a scale, or width and height in pixels, of which one may follow from the other."""

    scale: float | None = None
    width: int | None = None
    height: int | None = None

    @property
    def times(self) -> float | None:
        """How many times as large each way; None where a width or height is given."""
        if self.width is not None or self.height is not None:
            return None
        return _DEFAULT_SCALE if self.scale is None else self.scale

    def fields(self, of: str) -> tuple[str, str]:
        """Those of the message `of` that decide on the width, and on the height."""
        if self.times is not None:
            return f"{of}.scale", f"{of}.scale"
        return (
            f"{of}.{'height' if self.width is None else 'width'}",
            f"{of}.{'width' if self.height is None else 'height'}",
        )

    def size(self, of: str, before: Size, multiple: int = 1) -> Size:
        """Width and height of what is that large before; cut to multiples where they are not given themselves."""
        if self.times is not None:
            scale = _checked(f"{of}.scale", self.times)
            return _cut(before[0] * scale, multiple), _cut(before[1] * scale, multiple)
        if self.scale is not None:
            raise invalid(f"{of}.scale", "and a width or height say the same; leave one of them out")
        width, height = self.width, self.height
        if width is None:
            width = _cut(before[0] * (height or 0) / before[1], multiple)
        if height is None:
            height = _cut(before[1] * width / before[0], multiple)
        for field, extent, least in zip(self.fields(of), (width, height), before, strict=True):
            if extent < least:
                raise invalid(field, f"must be at least the {least} that there are before, not {extent}")
        return width, height

    def covering(self, before: Size, size: Size) -> Size | None:
        """Where both extents are given, of another ratio: as A1111 has it, the size of what `size` is the middle of.

        It is as wide or as high, and has the ratio of `before`. None where the middle is all of it.
        """
        if self.width is None or self.height is None:
            return None
        if before[0] / before[1] < size[0] / size[1]:
            whole = size[0], size[0] * before[1] // before[0]
        else:
            whole = size[1] * before[0] // before[1], size[1]
        return None if whole == size else whole


def _checked(field: str, scale: float) -> float:
    if not (math.isfinite(scale) and 1 <= scale <= _MOST_SCALE):
        raise invalid(field, f"must be a number from 1 to {_MOST_SCALE:g}, not {scale}")
    return scale


def _cut(extent: float, multiple: int) -> int:
    # What is whole may lie a little below it: 1.1 * 1.1 * 100, say.
    return int(extent + 1e-6) // multiple * multiple

"""Pictures that tile: their edges meet where they are laid side by side."""

from __future__ import annotations

from triptych.contract.wrapping import AXES
from triptych.errors import invalid


def tiling_of(axes: str) -> str:
    """The axes along which pictures are to tile; InvalidArgumentError where they are none."""
    if axes not in AXES:
        named = ", ".join(map(repr, AXES[1:]))
        raise invalid("tiling", f"{axes!r} names no axes: {named} would, or nothing where pictures need not tile")
    return axes

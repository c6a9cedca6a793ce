"""Sizes that can be drawn in, whichever pass draws."""

from __future__ import annotations

from triptych.errors import invalid
from triptych_orchestrator.settings import Limits

# Width and height in pixels.
Size = tuple[int, int]


def check_size(size: Size, fields: tuple[str, str], scale: int, limits: Limits, remedy: str = "") -> None:
    """InvalidArgumentError about the one of the fields that is to blame."""
    for field, value, high in zip(fields, size, (limits.max_width, limits.max_height), strict=True):
        if not 2 * scale <= value <= high or value % scale:
            raise invalid(field, f"must be a multiple of {scale} from {2 * scale} to {high}, not {value}{remedy}")
    if size[0] * size[1] > limits.max_pixels:
        most = f"the {limits.max_pixels} pixels that this server allows"
        raise invalid(fields[0], f"{size[0]} x {size[1]} is more than {most}{remedy}")

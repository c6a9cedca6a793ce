"""The formats that files can be, by the endings of their names: ".jpg" is a JPEG."""

from __future__ import annotations

ENDINGS = {"png": (".png",), "jpeg": (".jpg", ".jpeg"), "webp": (".webp",)}
"""The formats' names as the server has them, each with what a file's name may end in, the usual one first."""

_BY_ENDING = {ending: name for name, endings in ENDINGS.items() for ending in endings}
KNOWN = tuple(_BY_ENDING)


def format_of(ending: str) -> str | None:
    """The format that a file of that ending is, in any case; None where the ending names none."""
    return _BY_ENDING.get(ending.lower())

"""Pictures side by side on white, as the pages show them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "images"
GAP = 8


def save_row(name: str, pictures: Sequence[Image.Image]) -> None:
    """All of them in a row, in docs/images."""
    width, height = sum(each.width + GAP for each in pictures) - GAP, max(each.height for each in pictures)
    sheet, left = Image.new("RGB", (width, height), "white"), 0
    for picture in pictures:
        sheet.paste(picture, (left, 0))
        left += picture.width + GAP
    sheet.save(FOLDER / name, optimize=True)

from __future__ import annotations

import pytest

from triptych.errors import InvalidArgumentError
from triptych_orchestrator.jobs.tasks.formats import Format, format_of


def test_what_is_asked_for() -> None:
    assert format_of("", None) == format_of("png", None) == Format("png", None)
    assert (format_of("jpeg", 100), format_of("webp", 1)) == (Format("jpeg", 100), Format("webp", 1))


@pytest.mark.parametrize(
    ("image_format", "quality", "field"),
    [
        ("gif", None, "image_format"),
        ("PNG", None, "image_format"),
        ("", 80, "quality"),
        ("png", 80, "quality"),
        ("jpeg", 0, "quality"),
        ("webp", 101, "quality"),
    ],
)
def test_what_is_not_to_be_had_is_refused_by_name(image_format: str, quality: int | None, field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        format_of(image_format, quality)
    assert caught.value.metadata["field"] == field

from __future__ import annotations

import pytest

from triptych.errors import CheckpointInvalidError
from triptych.legible import legible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("größer 図 \N{GRINNING FACE}", "größer 図 \N{GRINNING FACE}"),
        ("one\n\ttwo", "one\n\ttwo"),
        ("bell \a, escape \x1b[2J", r"bell \x07, escape \x1b[2J"),
        ("a \ud800 b", r"a \ud800 b"),
        ("a file name read as ASCII: j\udcc3\udcbcrgen, \udcff", r"a file name read as ASCII: jürgen, \udcff"),
        ("right-to-left \u202e", r"right-to-left \u202e"),
        ("", ""),
    ],
)
def test_what_cannot_be_shown_is_escaped(text: str, shown: str) -> None:
    assert legible(text, 100) == shown


@pytest.mark.parametrize("sign", ["x", "ж", "図", "\N{GRINNING FACE}", "\udfff", "\0"])
@pytest.mark.parametrize("limit_bytes", range(3, 40))
def test_it_is_cut_between_signs(sign: str, limit_bytes: int) -> None:
    cut = legible(sign * 50, limit_bytes)
    assert cut.endswith("…") and len(cut.encode()) <= limit_bytes
    whole = legible(sign, 10)
    assert cut.removesuffix("…") in whole * 50


def test_what_just_fits_is_whole() -> None:
    assert legible("x" * 7, 7) == "x" * 7 and legible("x" * 8, 7) == "xxxx…"


def test_errors_are_legible() -> None:
    error = CheckpointInvalidError("no \ud800 " + "x" * 9_000_000, file="\udc80.json")
    assert str(error) == error.message and error.message.startswith(r"no \ud800 xxx")
    assert len(error.message) < 40_000 and error.metadata == {"file": r"\udc80.json"}

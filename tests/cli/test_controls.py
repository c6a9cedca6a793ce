"""The option that says under which ControlNets a picture is drawn."""

from __future__ import annotations

import argparse

import pytest

from triptych.cli.controls import control
from triptych.sdk.controls import Control


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("canny=edges.png", Control("canny", "edges.png")),
        ("canny=edges.png:0.8", Control("canny", "edges.png", 0.8)),
        ("union/canny=edges.png:0.8", Control("union", "edges.png", 0.8, union_type="canny")),
        ("canny=a:b.png:0.8:0.1:0.9", Control("canny", "a:b.png", 0.8, 0.1, 0.9)),
    ],
)
def test_name_file_and_numbers(text: str, expected: Control) -> None:
    assert control(text) == expected


@pytest.mark.parametrize("text", ["canny", "canny=", "=edges.png"])
def test_what_lacks_a_part_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match=r"NAME\[/TYPE\]=FILE"):
        control(text)

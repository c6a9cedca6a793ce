"""--ip-adapter, from its text."""

from __future__ import annotations

import argparse

import pytest

from triptych.cli.ip_adapters import ip_adapter
from triptych.sdk.parts.ip_adapters import IpAdapter


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plus=photo.png", IpAdapter("plus", "photo.png")),
        ("plus=photo.png:0.6", IpAdapter("plus", "photo.png", 0.6)),
        ("plus=a:b.png", IpAdapter("plus", "a:b.png")),
        ("plus=a:b.png:0", IpAdapter("plus", "a:b.png", 0.0)),
    ],
)
def test_the_last_number_is_the_scale(text: str, expected: IpAdapter) -> None:
    assert ip_adapter(text) == expected


@pytest.mark.parametrize("text", ["plus", "=photo.png", "plus="])
def test_what_lacks_a_part_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not NAME=FILE"):
        ip_adapter(text)

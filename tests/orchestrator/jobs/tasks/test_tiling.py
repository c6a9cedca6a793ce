"""Axes along which pictures tile, as requests name them."""

from __future__ import annotations

import pytest

from triptych.errors import InvalidArgumentError
from triptych.sdk.parameters import build_request
from triptych_orchestrator.jobs.tasks.tiling import tiling_of


def test_what_a_client_says_is_what_the_server_takes() -> None:
    said = {True: "xy", False: "", None: "", "x": "x", "y": "y", "xy": "xy"}
    assert {value: tiling_of(build_request("", tiling=value).tiling) for value in said} == said


@pytest.mark.parametrize("wrong", ["yx", "true", "X", "z", " "])
def test_others_are_refused(wrong: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"tiling: .* names no axes: 'x', 'y', 'xy' would") as caught:
        tiling_of(build_request("", tiling=wrong).tiling)
    assert caught.value.metadata["field"] == "tiling"

from __future__ import annotations

from typing import Any

import pytest

import triptych
from triptych.errors import InvalidArgumentError
from triptych.sdk import Hires, Upscale
from triptych.sdk.parameters import UpscaleParameters, build_request
from triptych.v1 import generation_pb2 as pb


def test_what_is_not_given_is_left_to_the_server() -> None:
    request = build_request("x", hires=Hires(), upscale={})
    assert request.HasField("hires") and request.HasField("upscale")
    assert request.hires == pb.Hires() and request.upscale == pb.Upscale()
    assert not build_request("x", hires=None).HasField("hires")


def test_a_mapping_does_as_well() -> None:
    given: dict[str, Any] = {"scale": 1.5, "upscaler": "lanczos", "strength": 0.0, "num_inference_steps": 3}
    request = build_request("x", hires=given, upscale=Upscale(width=640))
    assert request == build_request("x", hires=triptych.Hires(**given), upscale={"width": 640})
    assert request.hires.HasField("strength") and request.upscale == pb.Upscale(width=640)


@pytest.mark.parametrize(
    ("given", "field", "problem"),
    [
        ({"hires": {"sclae": 2}}, "hires", "must be a Hires, or a mapping of scale, .* not {'sclae': 2}"),
        ({"hires": 2}, "hires", "not 2"),
        ({"hires": Upscale()}, "hires", "must be a Hires"),
        ({"hires": {"strength": "much"}}, "hires.strength", "must be a number, not 'much'"),
        ({"upscale": Upscale(width=-1)}, "upscale.width", "must be an integer from 0"),
        (
            {"upscale": {"strength": 1}},
            "upscale",
            "must be an? Upscale, or a mapping of scale, width, height, upscaler",
        ),
    ],
)
def test_what_does_not_fit_is_named(given: dict[str, Any], field: str, problem: str) -> None:
    with pytest.raises(InvalidArgumentError, match=problem) as caught:
        build_request("x", **given)
    assert caught.value.metadata["field"] == field


def test_what_counts_without_drawing_is_what_generate_has() -> None:
    assert UpscaleParameters.__annotations__.items() <= triptych.sdk.GenerateParameters.__annotations__.items()

from __future__ import annotations

import re
from typing import Any

import pytest

from triptych.errors import InvalidArgumentError
from triptych.sdk import Client, GenerateParameters
from triptych.sdk.images import IMAGE_FIELDS
from triptych.sdk.parameters import build_request
from triptych.v1.generation_pb2 import GenerateRequest


def test_what_is_not_given_is_left_to_the_server() -> None:
    request = build_request("a red circle", width=None, seed=None)
    assert request == GenerateRequest(prompt="a red circle")
    assert not request.HasField("width") and not request.HasField("guidance_scale")


def test_zeros_are_values() -> None:
    request = build_request("", seed=0, guidance_scale=0, eta=0.0, num_inference_steps=0)
    assert list(request.seeds) == [0]
    assert all(request.HasField(name) for name in ("guidance_scale", "eta", "num_inference_steps"))


@pytest.mark.parametrize("seed", [[5, 0, 2**64 - 1], (5, 0, 2**64 - 1)])
def test_one_seed_per_image(seed: Any) -> None:
    assert list(build_request("x", seed=seed).seeds) == [5, 0, 2**64 - 1]


def test_every_field_of_the_request_can_be_set() -> None:
    several = {"seed": "seeds", "subseed": "subseeds", **IMAGE_FIELDS}
    names = {several.get(name, name) for name in GenerateParameters.__annotations__} | {"prompt"}
    assert names == set(GenerateRequest.DESCRIPTOR.fields_by_name)


def test_generate_names_every_parameter() -> None:
    assert set(re.findall(r"`(\w+)`", str(Client.generate.__doc__))) == set(GenerateParameters.__annotations__)


def test_sizes_are_two_numbers() -> None:
    request = build_request("x", original_size=(300, 200), crops_coords_top_left=(0, 0))
    assert (request.original_size.height, request.original_size.width) == (300, 200)
    assert request.HasField("crops_coords_top_left") and not request.HasField("target_size")
    assert build_request("x", target_size=None) == build_request("x")


def test_an_empty_negative_prompt_is_another_than_none() -> None:
    assert build_request("x", negative_prompt="").HasField("negative_prompt")
    assert not build_request("x", negative_prompt=None).HasField("negative_prompt")


def test_loras_by_name_weight_and_two_weights() -> None:
    request = build_request("x", loras=["ink", ("ink", 0.8), ("wash", 0, -0.5), ["list", 1]])  # type: ignore[list-item]
    ink, again, wash, listed = request.loras
    assert (ink.name, ink.HasField("weight"), ink.HasField("text_encoder_weight")) == ("ink", False, False)
    assert (again.name, again.weight, again.HasField("text_encoder_weight")) == ("ink", 0.8, False)
    assert (wash.name, wash.HasField("weight"), wash.weight, wash.text_encoder_weight) == ("wash", True, 0.0, -0.5)
    assert listed.name == "list"
    assert build_request("x", loras=[]) == build_request("x", loras=None) == build_request("x")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("width", "wide"),
        ("width", 512.5),
        ("height", -8),
        ("num_inference_steps", 2**32),
        ("guidance_scale", "strong"),
        ("checkpoint", 7),
        ("seed", -1),
        ("seed", 1.5),
        ("seed", "7"),
        ("seed", [1, None]),
        ("seed", 2**64),
        ("original_size", 7),
        ("original_size", (7,)),
        ("original_size", (7, 8, 9)),
        ("target_size", (7, -8)),
        ("crops_coords_top_left", "78"),
        ("loras", "ink"),
        ("loras", {"ink": 0.8}),
        ("loras", 7),
        ("loras", [7]),
        ("loras", [()]),
        ("loras", [("ink", "0.8")]),
        ("loras", [("ink", None)]),
        ("loras", [(0.8, "ink")]),
        ("loras", [("ink", 1, 2, 3)]),
        ("prompt", None),
        ("prompt", "\ud800"),
    ],
)
def test_what_cannot_be_encoded_names_its_field(field: str, value: Any) -> None:
    arguments: dict[str, Any] = {"prompt": "x", field: value}
    with pytest.raises(InvalidArgumentError, match=f"^{field}: must be ") as raised:
        build_request(**arguments)
    assert raised.value.metadata["field"] == field


@pytest.mark.parametrize("name", ["num_steps", "seeds"])
def test_an_unknown_parameter_is_a_type_error(name: str) -> None:
    unknown: dict[str, Any] = {name: 3}
    with pytest.raises(TypeError, match=name):
        build_request("x", **unknown)

"""Preprocessors through both clients, and what a Control says of them."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

import triptych
from tests.sdk.fake_server import FakeServer
from triptych.errors import InvalidArgumentError
from triptych.sdk import AsyncClient, Client, Preprocessor, PreprocessorParameter
from triptych.sdk.parameters import build_request
from triptych.v1 import generation_pb2 as pb

PICTURE = Image.new("RGB", (16, 8), "red")


async def test_a_picture_goes_out_and_another_comes_back(
    client: Client, async_client: AsyncClient, server: FakeServer
) -> None:
    asked: dict[str, Any] = {"processor_res": 0, "threshold_a": 10.5, "width": 24, "height": 16}
    made = client.preprocess("canny", PICTURE, **asked, resize_mode="crop_and_resize", mask_image=b"mask")
    assert made.image.size == (24, 16) and made.png.startswith(b"\x89PNG") and made.warnings == ["the first is taken"]
    again = await async_client.preprocess("canny", PICTURE, **asked)
    assert again.png == made.png
    first, second = server.requests
    assert first.HasField("processor_res") and not first.HasField("threshold_b")
    assert (first.threshold_a, first.resize_mode, first.mask_image) == (10.5, "crop_and_resize", b"mask")
    assert second.image == first.image and not second.mask_image
    with pytest.raises(InvalidArgumentError, match="'nothing'"):
        client.preprocess("nothing", PICTURE)


async def test_what_there_is_and_lacks_is_listed(client: Client, async_client: AsyncClient) -> None:
    canny, depth = client.preprocessors()
    assert canny == Preprocessor(
        "canny", control_types=["Canny"], threshold_a=PreprocessorParameter("Low", 1, 255, 100, 1)
    )
    assert (depth.aliases, depth.missing, depth.processor_res) == (["depth"], "weights", None)
    assert await async_client.preprocessors() == [canny, depth]


def test_a_control_says_how_its_picture_is_prepared() -> None:
    fields: dict[str, Any] = {
        "preprocessor": "canny", "processor_res": 0, "threshold_a": 1.5, "threshold_b": 0.0,
        "resize_mode": "resize_and_fill", "hr_option": "low_res", "mask_image": b"mask",
    }  # fmt: skip
    (control,) = build_request("x", controls=[triptych.Control("edges", b"file", **fields)]).controls
    assert control == pb.Control(name="edges", image=b"file", **fields)
    assert control.HasField("processor_res") and control.HasField("threshold_b")


@pytest.mark.parametrize(
    ("field", "value"),
    [("processor_res", -1), ("threshold_a", "much"), ("preprocessor", 3), ("mask_image", 4), ("image", 5)],
)
def test_what_does_not_fit_is_named(client: Client, field: str, value: Any) -> None:
    given = {"image": b"file", "preprocessor": "canny", field: value}
    with pytest.raises(InvalidArgumentError) as caught:
        build_request("x", controls=[{"name": "edges", **given}])
    assert caught.value.metadata["field"] == f"controls[0].{field}"
    with pytest.raises(InvalidArgumentError) as caught:
        client.preprocess(**given)
    assert caught.value.metadata["field"] == field

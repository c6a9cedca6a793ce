from __future__ import annotations

import base64
import io
from typing import Any

import httpx
import openai
import pytest
from PIL import Image

from tests.conftest import Served

OURS: dict[str, Any] = {"seed": 3, "steps": 2}
GRPC: dict[str, Any] = {"checkpoint": "sd1", "width": 64, "height": 64, "seed": 3, "num_inference_steps": 2}


def files(answer: Any) -> list[bytes]:
    return [base64.b64decode(each.b64_json) for each in answer.data]


def test_the_picture_is_the_one_that_grpc_gives(served: Served, client: openai.OpenAI) -> None:
    answer = client.images.generate(model="sd1", prompt="a dot", size="64x64", extra_body=OURS)
    assert files(answer) == served.client.generate("a dot", **GRPC).files
    assert (answer.size, answer.output_format, answer.background, answer.quality) == ("64x64", "png", "opaque", "auto")


def test_our_parameters_are_fields_more(served: Served, client: openai.OpenAI) -> None:
    ours = {"negative_prompt": "a line", "guidance_scale": 4.0, "scheduler": "EulerDiscreteScheduler"}
    answer = client.images.generate(model="sd1", prompt="a dot", size="64x64", n=2, extra_body=OURS | ours)
    assert files(answer) == served.client.generate("a dot", **GRPC, **ours, num_images_per_prompt=2).files  # type: ignore[arg-type]


def test_format_and_compression(served: Served, client: openai.OpenAI) -> None:
    answer = client.images.generate(
        model="sd1", prompt="a dot", size="64x96", output_format="jpeg", output_compression=50, extra_body=OURS
    )
    expected = served.client.generate("a dot", **GRPC | {"height": 96}, image_format="jpeg", quality=50)
    assert files(answer) == expected.files
    assert answer.output_format == "jpeg"


def test_quality_is_a_number_of_steps(served: Served, client: openai.OpenAI) -> None:
    answer = client.images.generate(model="sd1", prompt="a dot", size="64x64", quality="low", extra_body={"seed": 3})
    assert files(answer) == served.client.generate("a dot", **GRPC | {"num_inference_steps": 15}).files
    assert answer.quality == "low"


def test_an_address_is_good_without_credentials(served: Served, client: openai.OpenAI) -> None:
    answer = client.images.generate(model="sd1", prompt="a dot", size="64x64", response_format="url", extra_body=OURS)
    (picture,) = answer.data or []
    assert picture.b64_json is None and picture.url is not None
    got = httpx.get(picture.url, trust_env=False)
    assert got.headers["content-type"] == "image/png"
    assert got.content == served.client.generate("a dot", **GRPC).files[0]


def test_partial_images_are_streamed(served: Served, client: openai.OpenAI) -> None:
    stream = client.images.generate(
        model="sd1", prompt="a dot", size="128x128", stream=True, partial_images=2,
        extra_body={"seed": 3, "steps": 30},
    )  # fmt: skip
    events = list(stream)
    partial, (last,) = events[:-1], events[-1:]
    assert 1 <= len(partial) <= 2
    for index, event in enumerate(partial):
        assert event.type == "image_generation.partial_image"
        assert (event.partial_image_index, event.size) == (index, "128x128")
        Image.open(io.BytesIO(base64.b64decode(event.b64_json))).load()
    assert last.type == "image_generation.completed"
    expected = served.client.generate(
        "a dot", checkpoint="sd1", width=128, height=128, seed=3, num_inference_steps=30, preview_every_steps=10
    )
    assert base64.b64decode(last.b64_json) == expected.files[0]


def test_a_stream_tells_of_an_error(served: Served, client: openai.OpenAI) -> None:
    stream = client.images.generate(model="sd1", prompt="a dot", size="63x64", stream=True)
    with pytest.raises(openai.APIError, match="width"):
        list(stream)


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"size": "63x64"}, "size"),
        ({"size": "large"}, "size"),
        ({"n": 0}, "n"),
        ({"n": 999}, "n"),
        ({"quality": "odd"}, "quality"),
        ({"output_format": "gif"}, "output_format"),
        ({"background": "transparent"}, "background"),
        ({"extra_body": {"seeds": 3}}, "seeds"),
        ({"extra_body": {"scheduler": "none"}}, "scheduler"),
        ({"extra_body": {"prompt": None}}, "prompt"),
        ({"extra_body": {"steps": 2, "num_inference_steps": 2}}, "steps"),
    ],
)
def test_a_fault_is_told_as_that_api_does(
    change: dict[str, Any], param: str, served: Served, client: openai.OpenAI
) -> None:
    with pytest.raises(openai.BadRequestError) as raised:
        client.images.generate(**{"model": "sd1", "prompt": "a dot", "size": "64x64", **change})
    assert raised.value.param == param
    assert raised.value.type == "invalid_request_error"


def test_an_unknown_model_is_not_found(served: Served, client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError, match=r"there are .*sd1") as raised:
        client.images.generate(model="gpt-image-1", prompt="a dot")
    assert raised.value.param == "model"


def test_a_controlnet_is_a_field_more(served: Served, client: openai.OpenAI, outlines: str) -> None:
    edges = served.client.generate("a line", **GRPC).files[0]
    text = base64.b64encode(edges).decode()
    answer = client.images.generate(
        model="sd1", prompt="a dot", size="64x64", extra_body=OURS | {"controls": [{"name": outlines, "image": text}]}
    )
    expected = served.client.generate("a dot", **GRPC, controls=[{"name": outlines, "image": edges}])
    assert files(answer) == expected.files != served.client.generate("a dot", **GRPC).files

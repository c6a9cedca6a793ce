from __future__ import annotations

import base64
import io
from typing import Any

import openai
import pytest
from PIL import Image

from tests.conftest import Served
from tests.gateway.openai.test_generations import files

OURS: dict[str, Any] = {"seed": 3, "steps": 4}
GRPC: dict[str, Any] = {"checkpoint": "sd1", "seed": 3, "num_inference_steps": 4}
HALF = (0, 0, 32, 64)


def png(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def opaque() -> Image.Image:
    return Image.linear_gradient("L").resize((64, 64)).convert("RGBA")


def transparent_half(image: Image.Image) -> Image.Image:
    image.paste((10, 20, 30, 0), HALF)
    return image


def white_half() -> bytes:
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, HALF)
    return png(mask)


def test_without_a_mask_all_is_drawn_anew(served: Served, client: openai.OpenAI) -> None:
    image = png(opaque())
    answer = client.images.edit(model="sd1", image=image, prompt="a dot", extra_body=OURS | {"strength": 0.5})
    assert files(answer) == served.client.generate("a dot", image=image, strength=0.5, **GRPC).files


def test_where_the_mask_is_transparent_the_picture_is_drawn_anew(served: Served, client: openai.OpenAI) -> None:
    image, mask = png(opaque()), png(transparent_half(opaque()))
    answer = client.images.edit(model="sd1", image=[image], mask=mask, prompt="a dot", extra_body=OURS)
    assert files(answer) == served.client.generate("a dot", image=image, mask_image=white_half(), **GRPC).files


def test_a_picture_may_be_its_own_mask(served: Served, client: openai.OpenAI) -> None:
    image = png(transparent_half(opaque()))
    answer = client.images.edit(model="sd1", image=("a.png", image), prompt="a dot", n=1, extra_body=OURS)
    assert files(answer) == served.client.generate("a dot", image=image, mask_image=white_half(), **GRPC).files


def test_our_parameters_may_be_lists_in_a_form(served: Served, client: openai.OpenAI) -> None:
    image = png(opaque())
    ours = OURS | {"seed": [4, 5], "tiling": True}
    answer = client.images.edit(model="sd1", image=image, prompt="a dot", n=2, extra_body=ours)
    expected = served.client.generate(
        "a dot", image=image, num_images_per_prompt=2, tiling=True, **GRPC | {"seed": [4, 5]}
    )
    assert files(answer) == expected.files


def test_an_edit_is_streamed(served: Served, client: openai.OpenAI) -> None:
    stream = client.images.edit(model="sd1", image=png(opaque()), prompt="a dot", stream=True, extra_body=OURS)
    (last,) = list(stream)
    assert last.type == "image_edit.completed"
    Image.open(io.BytesIO(base64.b64decode(last.b64_json))).load()


def test_a_variation_is_much_like_the_picture(served: Served, client: openai.OpenAI) -> None:
    image = png(opaque())
    with pytest.warns(DeprecationWarning):  # OpenAI's own models have none any more
        answer = client.images.create_variation(model="sd1", image=image, n=2, extra_body=OURS)
    assert files(answer) == served.client.generate(
        "", image=image, strength=0.7, num_images_per_prompt=2, **GRPC
    ).files  # fmt: skip


@pytest.mark.parametrize(
    ("change", "param", "problem"),
    [
        ({"image": b"garbage"}, "image", "cannot be read"),
        ({"image": []}, "image", "is missing"),
        ({"image": [png(opaque())] * 2}, "image", "must be one"),
        ({"mask": png(opaque())}, "mask", "no transparent pixel"),
        ({"mask": b"garbage"}, "mask", "cannot be read"),
        ({"mask": png(transparent_half(opaque()).resize((32, 32)))}, "mask", "must agree"),
    ],
)
def test_a_fault_is_told(
    change: dict[str, Any], param: str, problem: str, served: Served, client: openai.OpenAI
) -> None:
    with pytest.raises(openai.BadRequestError, match=problem) as raised:
        client.images.edit(**{"model": "sd1", "image": png(opaque()), "prompt": "a dot", **change})
    assert raised.value.param == param

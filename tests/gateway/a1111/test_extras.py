"""Enlarging, and reading what pictures say."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.conftest import Served
from tests.gateway.a1111.conftest import Call, files, info, picture, png, text

IMAGE = Image.radial_gradient("L").resize((48, 32)).convert("RGB")


def extra(http: httpx.Client, **fields: Any) -> Image.Image:
    answer = http.post("/sdapi/v1/extra-single-image", json={"image": text(IMAGE), "upscaler_1": "Lanczos", **fields})
    assert answer.status_code == 200, answer.text
    return picture(files({"images": [answer.json()["image"]]})[0])


def test_by_a_factor(http: httpx.Client, served: Served) -> None:
    own = served.client.upscale(png(IMAGE), scale=2.5, upscaler="lanczos").images[0]
    assert extra(http, upscaling_resize=2.5).tobytes() == own.tobytes()


@pytest.mark.parametrize(("crop", "size"), [(True, (80, 80)), (False, (120, 80))])
def test_to_a_size(crop: bool, size: tuple[int, int], http: httpx.Client) -> None:
    fields = {"resize_mode": 1, "upscaling_resize_w": 80, "upscaling_resize_h": 80, "upscaling_crop": crop}
    assert extra(http, **fields).size == size


def test_without_an_upscaler_it_stays_as_it_is(http: httpx.Client) -> None:
    assert extra(http, upscaler_1="None").tobytes() == IMAGE.tobytes()


def test_many(http: httpx.Client) -> None:
    images = [{"data": text(IMAGE), "name": "../one.png"}, {"data": text(IMAGE.rotate(90, expand=True)), "name": "two"}]
    answer = http.post("/sdapi/v1/extra-batch-images", json={"imageList": images, "upscaler_1": "Nearest"}).json()
    assert [picture(file).size for file in files(answer)] == [(96, 64), (64, 96)]
    assert "Postprocess upscaler: nearest" in answer["html_info"]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"image": ""}, "image"),
        ({"image": "AAAA"}, "image"),
        ({"upscaler_1": "LDSR"}, "upscaler_1"),
        ({"upscaling_resize": 100}, "upscaling_resize"),
        ({"gfpgan_visibility": 1}, "gfpgan_visibility"),
        ({"resize_mode": 1, "upscaling_resize_w": 0}, "upscaling_resize_w"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, object], field: str, http: httpx.Client) -> None:
    wrong = {"image": text(IMAGE), "upscaler_1": "Lanczos", **fields}
    answer = http.post("/sdapi/v1/extra-single-image", json=wrong)
    assert answer.status_code == 400, answer.text
    assert answer.json()["detail"].startswith(field)


def test_what_a_picture_says(txt2img: Call, http: httpx.Client) -> None:
    answer = txt2img(negative_prompt="a square")
    told = http.post("/sdapi/v1/png-info", json={"image": answer["images"][0]}).json()
    assert told["info"] == info(answer)["infotexts"][0]
    fields = told["parameters"]
    assert (fields["Prompt"], fields["Negative prompt"]) == ("a red circle", "a square")
    assert (fields["Steps"], fields["Size-1"], fields["Size-2"]) == ("2", "64", "64")
    assert json.loads(told["items"]["triptych"])["request"]["seeds"] == [5]


def test_a_picture_that_says_nothing(http: httpx.Client) -> None:
    told = http.post("/sdapi/v1/png-info", json={"image": text(IMAGE)}).json()
    assert told == {"info": "", "items": {}, "parameters": {}}
    answer = http.post("/sdapi/v1/png-info", json={"image": "AAAA"})
    assert answer.status_code == 400 and answer.json()["detail"].startswith("image: ")


def test_an_infotext_counts_where_the_request_says_nothing(txt2img: Call, http: httpx.Client) -> None:
    answer = txt2img(negative_prompt="a square", tiling=True, sampler_name="DPM++ 2M", override_settings={
        "sd_model_checkpoint": "sd1", "CLIP_stop_at_last_layers": 2})  # fmt: skip
    again = http.post("/sdapi/v1/txt2img", json={"infotext": info(answer)["infotexts"][0]})
    assert files(again.json()) == files(answer)
    other = http.post("/sdapi/v1/txt2img", json={"infotext": info(answer)["infotexts"][0], "seed": 9})
    assert info(other.json())["seed"] == 9

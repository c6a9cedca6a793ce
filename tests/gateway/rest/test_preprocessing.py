from __future__ import annotations

import base64
from typing import Any

import httpx
import pytest

from tests.conftest import Served
from tests.gateway.a1111.conftest import png, text
from tests.parity.oracle import drawn

PHOTO = drawn((96, 64), 0)


def test_preprocessors_are_listed_with_their_numbers(served: Served, http: httpx.Client) -> None:
    listed = {each["name"]: each for each in http.get("/api/v1/preprocessors").json()["preprocessors"]}
    known = served.client.preprocessors()
    assert set(listed) == {each.name for each in known} and "canny" in listed
    assert listed["canny"]["threshold_a"]["label"] == "Low Threshold"


def test_a_picture_is_prepared_as_json_or_as_the_file(served: Served, http: httpx.Client) -> None:
    request = {"preprocessor": "canny", "image": text(PHOTO), "threshold_a": 50, "width": 64, "height": 64}
    expected = served.client.preprocess("canny", png(PHOTO), threshold_a=50, width=64, height=64).png
    told = http.post("/api/v1/preprocess", json=request).json()
    assert base64.b64decode(told["image_base64"]) == expected
    assert (told["width"], told["height"]) == (64, 64)
    answer = http.post("/api/v1/preprocess", json=request, headers={"Accept": "image/*"})
    assert answer.headers["content-type"] == "image/png" and answer.content == expected


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"preprocessor": "magic"}, "preprocessor"),
        ({"preprocessor": None}, "preprocessor"),
        ({"image": ""}, "image"),
        ({"image": "QUFB"}, "image"),
        ({"threshold_a": 1000}, "threshold_a"),
        ({"width": 64}, "height"),
        ({"resize_mode": "tile"}, "resize_mode"),
        ({"threshold_c": 1}, "threshold_c"),
    ],
)
def test_what_is_wrong_is_told_by_its_field(change: dict[str, Any], field: str, http: httpx.Client) -> None:
    answer = http.post("/api/v1/preprocess", json={"preprocessor": "canny", "image": text(PHOTO), **change})
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, field), answer.text

"""ControlNets by the REST API: their pictures in every way that images come, and what is wrong told by its field."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from tests.conftest import Served
from tests.gateway.rest.asking import SMALL, ended, started

AS_FILE = {"Accept": "image/*"}


@pytest.fixture(scope="module")
def edges(served: Served) -> bytes:
    """A file that a ControlNet may look at."""
    return served.client.generate(**SMALL | {"seed": 4}).files[0]


def test_a_controls_picture_comes_in_every_way(served: Served, http: httpx.Client, outlines: str, edges: bytes) -> None:
    control = {"name": outlines, "conditioning_scale": 0.8, "guidance_end": 0.9, "control_mode": "prompt"}
    expected = served.client.generate(**SMALL, controls=[{**control, "image": edges}]).files[0]
    assert expected != served.client.generate(**SMALL).files[0]
    kept = http.post("/api/v1/generate", json={**SMALL, "seed": 4}).json()["pictures"][0]["id"]
    text = base64.b64encode(edges).decode()
    for image in (text, f"data:image/png;base64,{text}", f"picture:{kept}"):
        request = {**SMALL, "controls": [{**control, "image": image}]}
        assert http.post("/api/v1/generate", json=request, headers=AS_FILE).content == expected
    request = {**SMALL, "controls": [control]}
    parts: Any = {"request": (None, json.dumps(request)), "controls[0].image": ("edges.png", edges)}
    assert http.post("/api/v1/generate", files=parts, headers=AS_FILE).content == expected


def test_guess_mode_counts(served: Served, http: httpx.Client, outlines: str, edges: bytes) -> None:
    text = base64.b64encode(edges).decode()
    request = {**SMALL, "guess_mode": True, "controls": [{"name": outlines, "image": text}]}
    expected = served.client.generate(**SMALL, guess_mode=True, controls=[{"name": outlines, "image": edges}])
    assert http.post("/api/v1/generate", json=request, headers=AS_FILE).content == expected.files[0]


def test_a_task_tells_of_controls_without_their_pictures(http: httpx.Client, outlines: str, edges: bytes) -> None:
    control = {"name": outlines, "image": base64.b64encode(edges).decode()}
    told = ended(http, started(http, **SMALL, controls=[control]))
    assert told["status"] == "done", told
    assert told["request"]["controls"] == [{"name": outlines, "image": "inline"}]


@pytest.mark.parametrize(
    ("control", "field"),
    [
        ({}, "controls[0].name"),
        ({"name": "nothing"}, "controls[0].name"),
        ({"name": "outlines"}, "controls[0].image"),
        ({"name": "outlines", "image": "?"}, "controls[0].image"),
        ({"name": "outlines", "image": "picture:nothing"}, None),
        ({"name": "outlines", "image": "QUFB"}, "controls[0].image"),
        ({"name": "outlines", "conditioning_scale": "much"}, "controls[0].conditioning_scale"),
        ({"name": "outlines", "scale": 1}, "controls[0].scale"),
    ],
)
def test_what_is_wrong_with_a_control_is_told_by_its_field(
    control: dict[str, Any], field: str | None, http: httpx.Client, outlines: str
) -> None:
    answer = http.post("/api/v1/generate", json={**SMALL, "controls": [control]})
    assert answer.status_code in (400, 404), answer.text
    assert answer.json()["error"].get("field") == field, answer.text


@pytest.mark.parametrize("part", ["controls[1].image", "controls[0].name", "controls[99999].image", "control"])
def test_a_file_of_no_control_is_refused(part: str, http: httpx.Client, outlines: str, edges: bytes) -> None:
    request = {**SMALL, "controls": [{"name": outlines}]}
    parts: Any = {"request": (None, json.dumps(request)), part: ("edges.png", edges)}
    answer = http.post("/api/v1/generate", files=parts)
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, part)


def test_a_picture_that_comes_twice_is_refused(http: httpx.Client, outlines: str, edges: bytes) -> None:
    control = {"name": outlines, "image": base64.b64encode(edges).decode()}
    parts: Any = {"request": (None, json.dumps({**SMALL, "controls": [control]})), "controls[0].image": ("a", edges)}
    answer = http.post("/api/v1/generate", files=parts)
    assert (answer.status_code, answer.json()["error"]["field"]) == (400, "controls[0].image")

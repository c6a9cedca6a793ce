from __future__ import annotations

import io
import secrets
import zipfile
from typing import Any

import httpx
import pytest
from PIL import Image

from tests.conftest import Served
from tests.gateway.rest.asking import SMALL


def make(http: httpx.Client, **changes: Any) -> dict[str, Any]:
    answer = http.post("/api/v1/generate", json={**SMALL, "num_inference_steps": 1, **changes})
    picture: dict[str, Any] = answer.json()["pictures"][0]
    return picture


def ids(http: httpx.Client, **query: Any) -> list[str]:
    return [each["id"] for each in http.get("/api/v1/pictures", params=query).json()["pictures"]]


def test_pictures_are_listed_and_found_by_their_prompts(served: Served, http: httpx.Client) -> None:
    herd = secrets.token_hex(4)
    made = [make(http, prompt=f"{word} zebra of {herd}")["id"] for word in ("one", "Two", "three")]
    assert ids(http, search=f"ZEBRA {herd}") == made[::-1]
    assert ids(http, search=f"{herd} two") == [made[1]]
    assert ids(http, search=herd, limit=1) == [made[2]]
    assert ids(http, search=herd, before=made[1]) == [made[0]]
    assert ids(http, search="no such word") == []


def test_a_picture_says_how_it_was_made(served: Served, http: httpx.Client) -> None:
    picture = make(http, prompt="an owl", negative_prompt="a cat")
    told = http.get(f"/api/v1/pictures/{picture['id']}/about").json()
    assert told["picture"]["prompt"] == "an owl"
    assert told["infotext"].startswith("an owl\nNegative prompt: a cat\nSteps: 1")
    again = http.post("/api/v1/generate", json=told["request"], headers={"Accept": "image/*"})
    assert again.content == http.get(picture["url"]).content


def test_a_file_is_sent_once_to_who_keeps_it(served: Served, http: httpx.Client) -> None:
    url = make(http)["url"]
    answer = http.get(url)
    assert answer.headers["content-type"] == "image/png"
    again = http.get(url, headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_thumbnail_is_small(served: Served, http: httpx.Client) -> None:
    answer = http.get(make(http, width=128, upscale={"width": 512, "height": 256})["thumbnail_url"])
    assert answer.headers["content-type"] == "image/webp"
    assert Image.open(io.BytesIO(answer.content)).size == (320, 160)


def test_a_deleted_picture_is_gone(served: Served, http: httpx.Client) -> None:
    picture = make(http)
    assert http.get(picture["thumbnail_url"]).status_code == 200
    assert http.delete(picture["url"]).status_code == 204
    for path in (picture["url"], picture["thumbnail_url"], f"{picture['url']}/about"):
        assert http.get(path).status_code == 404
    assert http.delete(picture["url"]).status_code == 404
    assert picture["id"] not in ids(http)


def test_many_come_as_one_zip(served: Served, http: httpx.Client) -> None:
    made = [make(http, seed=seed) for seed in (1, 2)]
    answer = http.post("/api/v1/pictures/zip", json={"ids": [each["id"] for each in made]})
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        files = {name: archive.read(name) for name in archive.namelist()}
    assert files == {f"{each['id']}.png": http.get(each["url"]).content for each in made}
    assert http.post("/api/v1/pictures/zip", json={"ids": ["none"]}).status_code == 404


@pytest.mark.parametrize("name", ["none", "..%2F..%2Forchestrator.log", "0" * 32])
def test_no_name_reaches_other_files(name: str, served: Served, http: httpx.Client) -> None:
    assert http.get(f"/api/v1/pictures/{name}").status_code == 404
    assert http.post("/api/v1/generate", json={**SMALL, "image": f"picture:{name}"}).status_code == 404

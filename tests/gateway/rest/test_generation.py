from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest

from tests.conftest import Served
from tests.gateway.rest.asking import ENDLESS, SMALL, ended, events, started


def test_the_picture_is_the_one_that_grpc_gives(served: Served, http: httpx.Client) -> None:
    expected = served.client.generate(**SMALL)
    told = http.post("/api/v1/generate", json={**SMALL, "base64": True}).json()
    (picture,) = told["pictures"]
    assert base64.b64decode(picture["image_base64"]) == expected.files[0]
    assert http.get(picture["url"]).content == expected.files[0]
    about = {name: picture[name] for name in ("prompt", "checkpoint", "seed", "width", "height", "format")}
    assert about == {
        "prompt": "a dot", "checkpoint": "sd1", "seed": 3, "width": 64, "height": 64, "format": "png"
    }  # fmt: skip
    assert told["timings"]["unet"]["calls"] == expected.timings.unet.calls


@pytest.mark.parametrize(
    ("accept", "kind"), [("image/*", "image/png"), ("image/png", "image/png"), ("image/webp", "image/webp")]
)
def test_accept_may_ask_for_the_file_itself(accept: str, kind: str, served: Served, http: httpx.Client) -> None:
    answer = http.post("/api/v1/generate", json=SMALL, headers={"Accept": accept})
    assert answer.headers["content-type"] == kind
    assert answer.headers["triptych-seed"] == "3"
    expected = served.client.generate(**SMALL, image_format=kind.removeprefix("image/"))
    assert answer.content == expected.files[0]


def test_accept_may_ask_for_events(served: Served, http: httpx.Client) -> None:
    headers = {"Accept": "text/event-stream"}
    with http.stream("POST", "/api/v1/generate", json={**SMALL, "preview_every_steps": 1}, headers=headers) as answer:
        seen = list(events(answer))
    names = [name for name, _ in seen]
    assert seen[0] == ("state", seen[0][1]) and seen[0][1]["status"] == "queued"
    assert "preview" in names and names[-1] == "done"
    assert next(data for name, data in seen if name == "preview")["image"].startswith("data:image/jpeg;base64,")
    done = seen[-1][1]
    assert http.get(done["pictures"][0]["url"]).content == served.client.generate(**SMALL).files[0]
    assert {data["id"] for _, data in seen} == {done["task"]}


def test_images_come_in_every_way(served: Served, http: httpx.Client) -> None:
    first = http.post("/api/v1/generate", json=SMALL).json()["pictures"][0]
    file = http.get(first["url"]).content
    text = base64.b64encode(file).decode()
    request = {**SMALL, "strength": 0.5, "num_inference_steps": 4}
    expected = served.client.generate(**request, image=file).files[0]
    headers = {"Accept": "image/*"}
    for image in (text, f"data:image/png;base64,{text}", f"picture:{first['id']}", [text]):
        answer = http.post("/api/v1/generate", json={**request, "image": image}, headers=headers)
        assert answer.content == expected, answer.text[:200]
    parts: Any = {"request": (None, json.dumps(request)), "image": ("../odd/name.png", file)}
    assert http.post("/api/v1/generate", files=parts, headers=headers).content == expected


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"prompt": None}, "prompt"),
        ({"steps": 3}, "steps"),
        ({"width": 63}, "width"),
        ({"width": "wide"}, "width"),
        ({"seed": -1}, "seed"),
        ({"hires": {"scales": 2}}, "hires.scales"),
        ({"image": "?"}, "image"),
        ({"image": "http://127.0.0.1/a.png"}, "image"),
        ({"scheduler": "none"}, "scheduler"),
    ],
)
def test_a_fault_is_told_by_its_field(change: dict[str, Any], field: str, served: Served, http: httpx.Client) -> None:
    answer = http.post("/api/v1/generate", json={**SMALL, **change})
    assert answer.status_code == 400
    assert answer.json()["error"]["field"] == field


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"\xff", b'{"prompt": "a", "guidance_scale": NaN}', b"[" * 100_000])
def test_what_is_no_request_is_refused(raw: bytes, served: Served, http: httpx.Client) -> None:
    answer = http.post("/api/v1/generate", content=raw, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"]["reason"] == "INVALID_ARGUMENT"


def test_a_task_goes_on_by_itself(served: Served, http: httpx.Client) -> None:
    task_id = started(http, **SMALL)
    told = ended(http, task_id)
    assert (told["status"], told["step"], told["total"]) == ("done", 3, 3)  # PNDM does one more
    assert told["request"] == SMALL
    assert http.get(told["pictures"][0]["url"]).content == served.client.generate(**SMALL).files[0]
    assert http.get("/api/v1/tasks").json()["tasks"][0] == told


def test_a_task_is_cancelled(served: Served, http: httpx.Client) -> None:
    task_id = started(http)
    with http.stream("GET", f"/api/v1/tasks/{task_id}/events") as answer:
        for name, data in events(answer):
            if name == "state" and data["step"] == 1:
                assert http.delete(f"/api/v1/tasks/{task_id}").status_code == 204
    assert name == "failed" and data["error"]["reason"] == "CANCELLED"
    assert http.get(f"/api/v1/tasks/{task_id}").json()["status"] == "cancelled"


def test_a_task_that_fails_says_why(served: Served, http: httpx.Client) -> None:
    told = ended(http, started(http, width=63))
    assert told["status"] == "failed"
    assert told["error"]["field"] == "width"


def test_one_stream_tells_of_all_tasks(served: Served, http: httpx.Client) -> None:
    first = started(http)
    seen: dict[str, list[str]] = {}
    with http.stream("GET", "/api/v1/tasks/events") as answer:
        second = started(http, **SMALL)
        for name, data in events(answer):
            seen.setdefault(data["id"], []).append(name)
            if data["id"] == second and name == "done":
                http.delete(f"/api/v1/tasks/{first}")
            if data["id"] == first and name == "failed":
                break
    assert seen[second][0] == "state" and seen[second][-1] == "done"
    assert seen[first][-1] == "failed"


def test_there_is_no_other_task(served: Served, http: httpx.Client) -> None:
    for answer in (http.get("/api/v1/tasks/none"), http.delete("/api/v1/tasks/none")):
        assert answer.status_code == 404


def test_who_leaves_cancels(served: Served, http: httpx.Client) -> None:
    with http.stream("POST", "/api/v1/generate", json=ENDLESS, headers={"Accept": "text/event-stream"}) as answer:
        task_id = next(events(answer))[1]["id"]
    assert ended(http, task_id)["status"] == "cancelled"


def test_the_server_and_what_it_has(served: Served, http: httpx.Client) -> None:
    info = served.client.server_info()
    told = http.get("/api/v1/server").json()
    assert told["schedulers"] == info.schedulers
    assert told["limits"]["max_pixels"] == info.limits.max_pixels
    assert {replica["stage"] for replica in told["replicas"]} == {"encoder", "unet", "vae"}
    listed = http.get("/api/v1/checkpoints").json()["checkpoints"]
    assert {each["name"] for each in listed} == {each.name for each in served.client.checkpoints()}
    assert [each["name"] for each in http.get("/api/v1/loras").json()["loras"]] == [
        each.name for each in served.client.loras()
    ]

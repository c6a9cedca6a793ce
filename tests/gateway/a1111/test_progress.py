"""Progress, interrupt and skip: a caller's own, by id or the latest."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.gateway.a1111.conftest import ENDLESS, SD1, SMALL, files, info, picture


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


def begin(http: httpx.Client, threads: ThreadPoolExecutor, **fields: Any) -> Future[httpx.Response]:
    return threads.submit(lambda: http.post("/sdapi/v1/txt2img", json={**ENDLESS, **fields}))


def progress(http: httpx.Client, task_id: str = "") -> dict[str, Any]:
    told: dict[str, Any] = http.get("/sdapi/v1/progress", params={"force_task_id": task_id} if task_id else {}).json()
    return told


def once_drawing(http: httpx.Client, task_id: str, steps: int = 1) -> dict[str, Any]:
    """The first state of a call in which so many steps are done."""
    while True:
        answer = http.get("/sdapi/v1/progress", params={"force_task_id": task_id})
        if answer.status_code == 200 and answer.json()["state"]["sampling_step"] >= steps:
            told: dict[str, Any] = answer.json()
            return told
        time.sleep(0.01)


def test_idle_is_zero(http: httpx.Client) -> None:
    told = progress(http)
    assert (told["progress"], told["state"]["job_count"], told["current_image"]) == (0, 0, None)


def test_a_call_is_seen_by_its_id_and_interrupted(http: httpx.Client, threads: ThreadPoolExecutor) -> None:
    settings = {**SD1["override_settings"], "live_previews_enable": True, "show_progress_every_n_steps": 1}
    first = begin(http, threads, force_task_id="first", override_settings=settings)
    other = begin(http, threads, force_task_id="other", n_iter=2)
    told = once_drawing(http, "first", 2)
    assert 0.01 < told["progress"] < 1 and told["eta_relative"] > 0
    assert (told["state"]["job_count"], told["state"]["sampling_steps"]) == (1, 200)
    assert told["current_task"] == "first"
    assert picture(files({"images": [told["current_image"]]})[0]).size == (256, 256)
    once_drawing(http, "other")
    assert http.post("/sdapi/v1/interrupt", params={"force_task_id": "first"}).json() == {}
    answer = first.result().json()
    assert (answer["images"], info(answer)["all_seeds"]) == ([], [5])
    assert progress(http, "first")["state"]["job_count"] == 0
    assert progress(http)["current_task"] == "other"  # which nobody has interrupted
    assert http.post("/sdapi/v1/interrupt", json={}).json() == {}
    assert other.result().json()["images"] == []
    assert progress(http)["progress"] == 0


def test_what_is_skipped_is_followed_by_the_next(http: httpx.Client, threads: ThreadPoolExecutor) -> None:
    call = begin(http, threads, force_task_id="both", n_iter=2, steps=40, width=128, height=128)
    once_drawing(http, "both")
    assert http.post("/sdapi/v1/skip", json={"force_task_id": "both"}).json() == {}
    answer = call.result().json()
    assert (len(answer["images"]), info(answer)["all_seeds"]) == (1, [6])


def test_an_id_that_runs_is_refused(http: httpx.Client, threads: ThreadPoolExecutor) -> None:
    call = begin(http, threads, force_task_id="twice")
    once_drawing(http, "twice")
    answer = http.post("/sdapi/v1/txt2img", json={**SMALL, **SD1, "force_task_id": "twice"})
    assert answer.status_code == 400 and answer.json()["detail"].startswith("force_task_id: 'twice' is running")
    http.post("/sdapi/v1/interrupt")
    call.result()


def test_an_id_that_never_was(http: httpx.Client) -> None:
    for answer in (
        http.get("/sdapi/v1/progress", params={"force_task_id": "never"}),
        http.post("/sdapi/v1/interrupt", params={"force_task_id": "never"}),
    ):
        assert answer.status_code == 404 and answer.json()["detail"].startswith("force_task_id: ")
    assert http.post("/sdapi/v1/interrupt").json() == {}
    assert http.post("/sdapi/v1/skip").json() == {}

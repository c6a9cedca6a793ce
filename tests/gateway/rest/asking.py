"""What the tests of the REST API share: small requests, and events as they come."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx

SMALL: dict[str, Any] = {
    "prompt": "a dot", "checkpoint": "sd1", "width": 64, "height": 64, "seed": 3, "num_inference_steps": 2,
}  # fmt: skip
# Seconds of steps, and none of the tests waits for their end.
ENDLESS = {**SMALL, "num_inference_steps": 200, "width": 256, "height": 256}


def events(answer: httpx.Response) -> Iterator[tuple[str, Any]]:
    """Names and data of server-sent events."""
    name = ""
    for line in answer.iter_lines():
        kind, _, value = line.partition(": ")
        if kind == "event":
            name = value
        elif kind == "data":
            yield name, json.loads(value)


def started(http: httpx.Client, **changes: Any) -> str:
    """A task's id."""
    answer = http.post("/api/v1/tasks", json={**ENDLESS, **changes})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def ended(http: httpx.Client, task_id: str) -> dict[str, Any]:
    """The task once it has ended."""
    with http.stream("GET", f"/api/v1/tasks/{task_id}/events") as answer:
        for _ in events(answer):
            pass
    told: dict[str, Any] = http.get(f"/api/v1/tasks/{task_id}").json()
    return told

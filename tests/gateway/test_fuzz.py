"""Requests that nobody would send, made by schemathesis from the OpenAPI page, sound and unsound ones, to all."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import httpx
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from requests.adapters import HTTPAdapter
from schemathesis import GenerationMode

from tests.conftest import Served
from tests.gateway.rest.asking import SMALL

# Each is answered 501 on purpose, as docs/gateway.md says.
NOT_COVERED = "is not covered"
# They go on for as long as somebody listens.
ENDLESS = {"/api/v1/tasks/events"}
ADDRESS = "127.0.0.7"  # of a caller of its own: options and tasks are nobody else's


class From(HTTPAdapter):
    """Connects from `ADDRESS`."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options, source_address=(ADDRESS, 0))


def fuzz(http: httpx.Client, examples: int) -> Counter[int]:
    """Sends so many to each operation, and counts the statuses; AssertionError about the first that fails."""
    statuses: Counter[int] = Counter()
    schema = schemathesis.openapi.from_dict(http.get("/openapi.json").json())
    with requests.Session() as session:
        session.trust_env = False
        session.mount("http://", From())
        for found in schema.get_all_operations():
            operation = found.ok()
            if operation.path in ENDLESS:
                continue
            _send(operation, GenerationMode.POSITIVE, session, str(http.base_url), examples, statuses)
            if [*operation.body, *operation.query, *operation.headers]:  # of the others nothing is unsound
                _send(operation, GenerationMode.NEGATIVE, session, str(http.base_url), examples, statuses)
    return statuses


def _send(
    operation: Any, mode: Any, session: requests.Session, url: str, examples: int, statuses: Counter[int]
) -> None:
    @settings(
        max_examples=examples, database=None, derandomize=True, deadline=None,
        suppress_health_check=[*HealthCheck], phases=[Phase.generate],
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=mode))
    def send(case: Any) -> None:
        answer = case.call(base_url=url, session=session, timeout=60)
        statuses[answer.status_code] += 1
        shown = f"{case.method} {case.formatted_path} {case.query} {case.body!r:.500}: {answer.text:.300}"
        if answer.status_code == 501:
            assert NOT_COVERED in answer.text, shown
        else:
            assert answer.status_code < 500, f"{answer.status_code} {shown}"
        if answer.status_code >= 400:
            json.loads(answer.content)

    send()


def picture(http: httpx.Client) -> bytes:
    return http.post("/api/v1/generate", json=SMALL, headers={"Accept": "image/*"}).content


def check(served: Served, http: httpx.Client, examples: int, at_least: int) -> None:
    before, processes = picture(http), {each.name: each.pid for each in served.stack.processes()}
    statuses = fuzz(http, examples)
    assert sum(statuses.values()) >= at_least, statuses
    assert statuses[200] and statuses[400] and statuses[404], statuses
    assert {each.name: each.pid for each in served.stack.processes()} == processes
    assert picture(http) == before


def test_nothing_breaks(served: Served, http: httpx.Client) -> None:
    check(served, http, 5, 250)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_nothing_breaks_in_ten_thousand_requests(served: Served, http: httpx.Client) -> None:
    check(served, http, 200, 10_000)

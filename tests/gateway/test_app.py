from __future__ import annotations

import httpx
import pytest


def test_it_says_that_it_listens(http: httpx.Client) -> None:
    assert http.get("/health").json() == {"status": "listening"}


@pytest.mark.parametrize(
    ("path", "where"),
    [
        ("/sdapi/v1/nothing", ("detail",)),
        ("/v1/nothing", ("error", "message")),
        ("/api/v1/nothing", ("error", "message")),
        ("/nothing", ("error", "message")),
    ],
)
def test_each_api_tells_of_errors_in_its_own_shape(path: str, where: tuple[str, ...], http: httpx.Client) -> None:
    answer = http.get(path)
    assert answer.status_code == 404
    told = answer.json()
    for part in where:
        told = told[part]
    assert told == "Not Found"

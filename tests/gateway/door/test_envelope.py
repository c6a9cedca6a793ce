"""What every answer bears, and how much a request may bring."""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.gateway.door.conftest import At
from tests.gateway.door.serving import sent
from triptych_gateway.door.envelope import HEADERS


@pytest.mark.parametrize("path", ["/health", "/api/v1/nothing", "/sdapi/v1/nothing"])
async def test_headers_that_browsers_go_by(door: At, path: str) -> None:
    async with door() as http:
        answer = await http.get(path)
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        assert "server" not in answer.headers


async def test_request_ids_in_and_out(door: At) -> None:
    async with door() as http:
        assert (await http.get("/health", headers={"X-Request-ID": "mine-1"})).headers["x-request-id"] == "mine-1"
        made = [
            (await http.get("/health", headers={"X-Request-ID": bad})).headers["x-request-id"]
            for bad in ("", "a b", "x" * 200)
        ]
        assert all(re.fullmatch(r"[0-9a-f]{16}", each) for each in made) and len(set(made)) == 3


async def test_a_body_that_is_too_large_is_refused_in_the_apis_shape(door: At) -> None:
    async with door(max_body_bytes=1000) as http:
        assert (await http.post("/api/v1/size", json={"a": "x" * 900})).json() == 900

        async def chunks() -> object:
            for _ in range(20):
                yield b"x" * 100

        for body in (
            {"json": {"a": "x" * 2000}},
            {"content": chunks(), "headers": {"Content-Type": "application/json"}},
        ):
            answer = await http.post("/sdapi/v1/size", **body)
            assert answer.status_code == 413
            assert answer.json()["detail"]


async def test_bodies_of_all_requests_together_are_bounded(door: At) -> None:
    async with door(max_body_bytes=1000, max_bodies_bytes=1500) as http:
        port = http.base_url.port
        assert port
        head = "POST /api/v1/size HTTP/1.1\nHost: localhost\nContent-Type: application/json\nContent-Length: 1000"
        async with sent(port, head):
            await asyncio.sleep(0.1)
            refused = await http.post("/api/v1/size", json={"a": "x" * 800})
            assert refused.status_code == 429 and int(refused.headers["retry-after"]) > 0
            assert (await http.post("/api/v1/size", json={"a": "x" * 100})).status_code == 200
        for _ in range(100):
            if (await http.post("/api/v1/size", json={"a": "x" * 800})).status_code == 200:
                break
            await asyncio.sleep(0.05)
        else:
            raise AssertionError("what a client that left had been promised was not freed")

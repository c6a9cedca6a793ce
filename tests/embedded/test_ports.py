from __future__ import annotations

import pytest

from triptych.embedded.ports import bound_socket, free_ports, join, obstacle, reachable
from triptych.embedded.processes.backoff import Backoff


def test_free_ports_are_distinct_and_free() -> None:
    ports = free_ports("127.0.0.1", 20)
    assert len(set(ports)) == 20
    assert not any(obstacle("127.0.0.1", port) for port in ports)


def test_free_ports_are_never_those_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.sample", lambda candidates, count: list(candidates)[:count])
    lowest = free_ports("127.0.0.1", 1)[0]
    assert free_ports("127.0.0.1", 1, without={lowest})[0] > lowest


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_taken_port_is_told(host: str) -> None:
    port = free_ports("127.0.0.1", 1)[0]
    with bound_socket(host, port):
        assert obstacle("127.0.0.1", port) == f"cannot listen on 127.0.0.1:{port}: Address already in use"


def test_addresses() -> None:
    assert join("127.0.0.1", 80) == "127.0.0.1:80"
    assert join("::1", 80) == "[::1]:80"
    assert reachable("0.0.0.0") == "127.0.0.1"
    assert reachable("10.0.0.1") == "10.0.0.1"


def test_backoff_doubles_to_its_limit_and_starts_over_after_a_healthy_minute() -> None:
    backoff = Backoff()
    assert [backoff.delay_s(1) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert backoff.delay_s(59) == 30
    assert backoff.delay_s(60) == 0.5
    assert backoff.delay_s(1) == 1

from __future__ import annotations

import pytest

from triptych.errors import InvalidArgumentError
from triptych_orchestrator.jobs.caller import Caller

ONE, OTHER = Caller.of([], "ipv4:10.0.0.7:51034"), Caller.of([], "ipv4:10.0.0.7:51035")


def test_an_own_id_is_its_callers_alone() -> None:
    key = ONE.new_key("mine")
    assert key.request_id == "mine" and key in ONE.keys_for("mine")
    assert key != OTHER.new_key("mine") and key not in OTHER.keys_for("mine")


def test_an_id_of_the_servers_is_everybodys_who_knows_it_and_hard_to_know() -> None:
    keys = {ONE.new_key("") for _ in range(100)}
    assert len(keys) == 100
    for key in keys:
        assert len(bytes.fromhex(key.request_id)) == 16
        assert key in ONE.keys_for(key.request_id) and key in OTHER.keys_for(key.request_id)


def test_who_takes_a_servers_id_for_an_own_one_hits_his_own() -> None:
    key = ONE.new_key("")
    taken = OTHER.new_key(key.request_id)
    assert taken != key and OTHER.keys_for(key.request_id)[0] == taken and taken not in ONE.keys_for(key.request_id)


def test_a_credential_counts_on_any_connection_and_is_not_in_its_scope() -> None:
    here, there = (Caller.of([b"Bearer secret"], connection) for connection in ("ipv4:1.1.1.1:1", "ipv4:2.2.2.2:2"))
    assert here == there and "secret" not in here.scope
    assert len({here, Caller.of([b"Bearer other"], "ipv4:1.1.1.1:1"), Caller.of([], "ipv4:1.1.1.1:1")}) == 3
    assert Caller.of([b"a", b"b"], "") != Caller.of([b"ab"], "")


def test_without_a_connections_name_an_own_id_is_still_none_of_the_servers() -> None:
    assert Caller.of([], "").new_key("mine") not in ONE.keys_for("mine")


@pytest.mark.parametrize("request_id", ["a b", "x" * 129, "\n", "ä"])
def test_own_ids_are_checked(request_id: str) -> None:
    with pytest.raises(InvalidArgumentError, match="request_id"):
        ONE.new_key(request_id)

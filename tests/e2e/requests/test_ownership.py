"""Request ids belong to their callers, each of whom has a connection of its own here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

import triptych
from tests.conftest import Served
from tests.e2e.requests.test_generate import LONG, REQUEST
from triptych.errors import AlreadyExistsError, CancelledError, NotFoundError
from triptych.sdk.events import Event, Queued
from triptych.sdk.parameters import build_request
from triptych.v1.generation_pb2 import CancelRequest
from triptych.v1.generation_pb2_grpc import GenerationServiceStub

# Channels of one process would share a connection otherwise.
APART = [("grpc.use_local_subchannel_pool", 1)]
ALICE, MALLORY = (("authorization", "Bearer alice"),), (("authorization", "Bearer mallory"),)


@contextmanager
def two_callers(served: Served) -> Iterator[tuple[triptych.Client, triptych.Client]]:
    with (
        triptych.Client(served.stack.address, options=APART) as one,
        triptych.Client(served.stack.address, options=APART) as other,
    ):
        yield one, other


def queued(events: Iterator[Event]) -> Queued:
    first = next(events)
    assert isinstance(first, Queued)
    return first


def test_an_own_id_is_nobody_elses(served: Served) -> None:
    with two_callers(served) as (one, other):
        events = one.stream(**LONG, request_id="mine")
        queued(events)
        with pytest.raises(NotFoundError):
            other.cancel("mine")
        # Nor does it stand in anybody's way.
        assert other.generate(**REQUEST, request_id="mine").request_id == "mine"
        with pytest.raises(AlreadyExistsError):
            one.generate(**REQUEST, request_id="mine")
        one.cancel("mine")
        with pytest.raises(CancelledError):
            list(events)


def test_an_id_of_the_servers_is_known_to_whoever_was_told_it(served: Served) -> None:
    with two_callers(served) as (one, other):
        events = one.stream(**LONG)
        request_id = queued(events).request_id
        assert len(bytes.fromhex(request_id)) == 16
        with pytest.raises(NotFoundError):
            other.cancel(request_id[:-1])
        other.cancel(request_id)
        with pytest.raises(CancelledError):
            list(events)


def test_an_own_id_goes_with_its_credential_on_any_connection(served: Served) -> None:
    with (
        grpc.insecure_channel(served.stack.address, APART) as here,
        grpc.insecure_channel(served.stack.address, APART) as there,
    ):
        request: Any = build_request(**LONG, request_id="mine")
        responses = GenerationServiceStub(here).Generate(request, metadata=ALICE)
        assert next(responses).queued.request_id == "mine"
        for channel, metadata in ((there, MALLORY), (here, MALLORY), (here, ())):
            with pytest.raises(grpc.RpcError) as caught:
                GenerationServiceStub(channel).Cancel(CancelRequest(request_id="mine"), metadata=metadata)
            assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        GenerationServiceStub(there).Cancel(CancelRequest(request_id="mine"), metadata=ALICE)
        with pytest.raises(grpc.RpcError) as caught:
            list(responses)
        assert caught.value.code() is grpc.StatusCode.CANCELLED

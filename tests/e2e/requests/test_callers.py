"""Callers that do not read, ask for what is broken, or come and stay while the server stops."""

from __future__ import annotations

import io
import json
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from PIL import Image

import triptych
from tests.conftest import Served
from tests.e2e.operation.test_operation import REQUEST
from tests.e2e.serving import SIZE, Orchestrator, orchestrator, value, wait_for
from tests.http2 import Unreading
from triptych.errors import InvalidArgumentError, ServerStoppingError
from triptych.sdk.events import Queued
from triptych.v1.generation_pb2 import GenerateRequest
from triptych.v1.generation_pb2_grpc import GenerationServiceStub

GENERATE = "/triptych.v1.GenerationService/Generate"
# More than fits into the window that a client grants by itself.
VERBOSE: dict[str, Any] = {"prompt": "a star", "scheduler": "ddim", "num_inference_steps": 12, "seeds": [1], **SIZE}
VERBOSE |= {"preview_every_steps": 1, "height": 128}
RUNNING = "triptych_requests_running"


@pytest.fixture(scope="module")
def narrow(
    served: Served, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Orchestrator]:
    """Two places, and none to wait in."""
    limits = ("max_concurrent_requests=2", "max_queued_requests=0")
    arguments = [
        "--checkpoint",
        f"narrow={checkpoints['sd1']}",
        *(part for name in limits for part in ("--limit", name)),
    ]
    with orchestrator(served, tmp_path_factory.mktemp("narrow"), *arguments) as one:
        yield one


def idle(one: Orchestrator) -> bool:
    return value(one.metrics, RUNNING) == 0


def test_nobody_holds_a_place_by_not_reading(narrow: Orchestrator) -> None:
    message = GenerateRequest(**VERBOSE).SerializeToString()
    with (
        Unreading(narrow.address) as first,
        Unreading(narrow.address) as second,
        triptych.Client(narrow.address) as client,
    ):
        for unreading in (first, second):
            unreading.call(GENERATE, message)
        wait_for(lambda: value(narrow.metrics, "triptych_wait_seconds_count") >= 2)
        wait_for(lambda: idle(narrow), what="the places")
        assert client.generate(**REQUEST).images


def test_who_comes_back_to_read_has_lost_nothing(narrow: Orchestrator) -> None:
    with grpc.insecure_channel(narrow.address) as channel, triptych.Client(narrow.address) as client:
        expected = client.generate("a star", scheduler="ddim", num_inference_steps=12, seed=1, width=64, height=128)
        finished = value(narrow.metrics, "triptych_wait_seconds_count") + 1
        stream = GenerationServiceStub(channel).Generate(GenerateRequest(**VERBOSE))
        wait_for(lambda: value(narrow.metrics, "triptych_wait_seconds_count") == finished and idle(narrow))
        _, *steps, last = stream
        assert [event.step.step for event in steps] == list(range(1, 13))
        assert all(event.step.preview_png for event in steps[:-1])
        assert Image.open(io.BytesIO(last.result.images[0].png)).tobytes() == expected.images[0].tobytes()


def test_who_never_reads_loses_the_connection(served: Served, tmp_path: Path) -> None:
    with orchestrator(served, tmp_path, "--limit", "max_unread_seconds=1") as one, Unreading(one.address) as unreading:
        unreading.call("/triptych.v1.SystemService/GetServerInfo", b"")
        unreading.call("/grpc.health.v1.Health/Watch", b"")
        assert unreading.ended.wait(60)
        one.terminate()
        assert one.process.wait(60) == 0
        assert one.log.count('"client does not read; its connection is closed"') == 1
        assert '"ERROR"' not in one.log, one.log


def test_what_a_broken_checkpoint_says_is_bounded_for_all(
    served: Served, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    """A value of a configuration may be megabytes, and nobody's list is to be that long."""
    path = Path(shutil.copytree(checkpoints["sd1"], tmp_path / "verbose"))
    served.client.register_checkpoint("verbose", path)
    try:
        config = path / "unet" / "config.json"
        config.write_text(json.dumps(json.loads(config.read_text()) | {"act_fn": "\ud800" + "x" * 9_000_000}))
        with pytest.raises(InvalidArgumentError):
            served.client.load_checkpoint("verbose")
        (error,) = (known.error for known in served.client.checkpoints() if known.name == "verbose")
        assert "config.json" in error and len(error.encode()) <= 1024
    finally:
        served.client.unregister_checkpoint("verbose")


def watched(address: str, seen: list[int], ready: threading.Event) -> None:
    """Every status of a server, until it ends the call."""
    with grpc.insecure_channel(address) as channel:
        for response in health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest()):
            seen.append(response.status)
            ready.set()


def test_what_does_not_end_in_time_hears_that_the_server_stops(
    served: Served, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    arguments = ("--checkpoint", f"stop={checkpoints['sd1']}", "--drain-timeout", "0.2")
    with orchestrator(served, tmp_path, *arguments) as one, triptych.Client(one.address) as client:
        seen, ready = list[int](), threading.Event()
        watcher = threading.Thread(target=watched, args=(one.address, seen, ready))
        watcher.start()
        assert ready.wait(20)
        events = client.stream(**REQUEST | {"num_inference_steps": 200, "num_images_per_prompt": 8})
        assert isinstance(next(events), Queued)
        began = time.monotonic()
        one.terminate()
        with pytest.raises(ServerStoppingError, match="the server is stopping, and this did not end in time"):
            list(events)
        assert one.process.wait(60) == 0, one.log
        assert time.monotonic() - began < 20
        watcher.join(20)
        assert seen == [health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING]
        assert '"stopped"' in one.log and "Traceback" not in one.log


def test_a_load_that_waits_hears_it_too(served: Served, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    with (
        orchestrator(served, tmp_path, "--drain-timeout", "0.2", unet="127.0.0.1:1") as one,
        triptych.Client(one.address) as client,
    ):
        failures: list[Exception] = []

        def load() -> None:
            try:
                client.register_checkpoint("waits", checkpoints["sd1"], load=True)
            except ServerStoppingError as error:
                failures.append(error)

        loading = threading.Thread(target=load)
        loading.start()
        wait_for(lambda: [known.state for known in client.checkpoints()] == ["loading"])
        one.terminate()
        loading.join(20)
        assert len(failures) == 1
        assert one.process.wait(60) == 0
        assert "Traceback" not in one.log, one.log

"""An orchestrator from start to end, before the session's own stages: state, health, drain, limits, metrics, logs."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

import triptych
from tests.conftest import Served
from tests.e2e.serving import SIZE, Orchestrator, difference, free_port, orchestrator, value, wait_for
from triptych.errors import FailedPreconditionError, ResourceExhaustedError, ServerStoppingError, UnavailableError
from triptych.sdk.events import Queued, Result, Step

REQUEST: dict[str, Any] = {"prompt": "a star", "scheduler": "ddim", "num_inference_steps": 3, "seed": 1, **SIZE}
SERVING, NOT_SERVING = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


def health(address: str, service: str = "") -> int:
    with grpc.insecure_channel(address) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        status: int = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=10).status
        return status


def test_health_and_reflection(served: Served) -> None:
    services = [f"triptych.v1.{name}Service" for name in ("Generation", "Checkpoint", "Lora", "System")]
    assert [health(served.stack.address, service) for service in ("", *services)] == [SERVING] * 5
    with pytest.raises(grpc.RpcError) as caught:
        health(served.stack.address, "no.such.Service")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    with grpc.insecure_channel(served.stack.address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert {*services, "grpc.health.v1.Health"} <= set(database.get_services())
        assert database.FindFileContainingSymbol("triptych.v1.GenerateRequest").package == "triptych.v1"


def test_drain_finishes_what_runs_and_refuses_what_comes(
    served: Served, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    with orchestrator(served, tmp_path, "--checkpoint", f"drain={checkpoints['sd1']}") as one:
        with triptych.Client(one.address) as client, triptych.Client(one.address) as other:
            expected = client.generate(**REQUEST | {"num_inference_steps": 200})
            events = client.stream(**REQUEST | {"num_inference_steps": 200})
            for event in events:
                if isinstance(event, Step):
                    break
            one.terminate()
            wait_for(lambda: '"draining"' in one.log)
            # It answers, and nothing but what it must: no new work.
            with pytest.raises(ServerStoppingError, match="the server is stopping and takes nothing new"):
                other.generate(**REQUEST)
            assert health(one.address) == NOT_SERVING and other.server_info()
            *_, result = events
            assert isinstance(result, Result) and difference(result, expected) == 0
        assert one.process.wait(60) == 0
        assert '"stopped"' in one.log and "Traceback" not in one.log


def test_state_outlives_a_restart(served: Served, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    breaking = Path(shutil.copytree(checkpoints["sd1"], tmp_path / "breaking"))
    with orchestrator(served, tmp_path, "--checkpoint", f"first={checkpoints['sd1']}") as one:
        with triptych.Client(one.address) as client:
            client.register_checkpoint("second", checkpoints["sd2"], load=True)
            client.register_checkpoint("third", checkpoints["sd2"])
            client.register_checkpoint("breaking", breaking)
        assert one.stop() == 0
    (breaking / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"broken")
    with orchestrator(served, tmp_path, "--checkpoint", f"fourth={checkpoints['sd1']}") as one:
        with triptych.Client(one.address) as client:
            states = {known.name: known.state for known in client.checkpoints()}
            assert states == {
                "first": "loaded", "second": "loaded", "third": "registered", "fourth": "loaded", "breaking": "failed"
            }  # fmt: skip
            error = next(known.error for known in client.checkpoints() if known.name == "breaking")
            assert "unet/diffusion_pytorch_model.safetensors" in error
            with pytest.raises(FailedPreconditionError, match="diffusion_pytorch_model"):
                client.generate(**REQUEST, checkpoint="breaking")
            client.generate(**REQUEST, checkpoint="second")
            # Mended, it serves again.
            shutil.copy(checkpoints["sd1"] / "unet" / "diffusion_pytorch_model.safetensors", breaking / "unet")
            assert client.load_checkpoint("breaking").state == "loaded"
            for name in states:
                client.unregister_checkpoint(name)
        assert one.stop() == 0


def test_a_transient_checkpoint_is_not_kept(served: Served, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    transient = ("--transient-checkpoint", f"passing={checkpoints['sd1']}")
    with orchestrator(served, tmp_path, *transient) as one:
        with triptych.Client(one.address) as client:
            assert client.generate(**REQUEST).images  # a request without a name means it
            client.register_checkpoint("kept", checkpoints["sd2"])
        assert not keeps(tmp_path, "passing") and keeps(tmp_path, "kept")
        one.process.kill()
        one.process.wait()
    # What was served before a crash is served after it.
    with orchestrator(served, tmp_path, *transient) as one:
        with triptych.Client(one.address) as client:
            assert {known.name: known.state for known in client.checkpoints()} == {
                "kept": "registered", "passing": "loaded"
            }  # fmt: skip
        assert one.stop() == 0
    with orchestrator(served, tmp_path) as one:
        with triptych.Client(one.address) as client:
            assert [known.name for known in client.checkpoints()] == ["kept"]
            client.unregister_checkpoint("kept")
        assert one.stop() == 0


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--checkpoint", "x=/no/such/directory"), "/no/such/directory"),
        (("--checkpoint", "../x=/tmp"), "'../x' must be"),
    ],
)
def test_a_bad_checkpoint_ends_the_start(served: Served, tmp_path: Path, arguments: tuple[str, ...], text: str) -> None:
    one = Orchestrator(served, tmp_path, *arguments)
    assert one.process.wait(60) == 1
    assert text in one.log and "Traceback" not in one.log


def test_what_else_ends_the_start(served: Served, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    one = Orchestrator(served, tmp_path)
    assert one.process.wait(60) == 1
    assert f"LoRAs cannot be kept in {tmp_path}" in one.log and "Traceback" not in one.log
    command = [sys.executable, "-m", "triptych_orchestrator", "--state-dir", str(tmp_path / "other")]
    command += ["--encoder", "x:1", "--unet", "x:1", "--vae", "x:1"]
    taken = subprocess.run([*command, "--listen", served.stack.address], capture_output=True, text=True, timeout=60)
    assert taken.returncode == 1 and f"cannot listen on {served.stack.address}" in taken.stderr
    for option in ("--limit=max_pixels=0", "--limit=nope=1", "--recovery-timeout=nan", "--recovery-timeout=0"):
        run = subprocess.run([*command, option], capture_output=True, text=True, timeout=60, check=False)
        assert run.returncode == 2, run.stderr


def keeps(folder: Path, name: str) -> bool:
    return name in json.loads((folder / "state" / "checkpoints.json").read_text())


def test_a_full_queue_refuses(served: Served, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    limits = ("--limit", "max_concurrent_requests=1", "--limit", "max_queued_requests=1")
    with (
        orchestrator(served, tmp_path, "--checkpoint", f"queue={checkpoints['sd1']}", *limits) as one,
        triptych.Client(one.address) as client,
    ):
        running = client.stream(**REQUEST | {"num_inference_steps": 200}, request_id="running")
        assert isinstance(next(running), Queued) and isinstance(next(running), Step)
        waiting = client.stream(**REQUEST, request_id="waiting")
        assert isinstance(next(waiting), Queued)
        wait_for(lambda: value(one.metrics, "triptych_requests_waiting") == 1)
        with pytest.raises(ResourceExhaustedError, match="1 requests are running and 1 waiting"):
            next(client.stream(**REQUEST))
        # One that waits can be cancelled, and its place is free.
        client.cancel("waiting")
        with pytest.raises(triptych.errors.CancelledError):
            next(waiting)
        wait_for(lambda: value(one.metrics, "triptych_requests_waiting") == 0)
        results: list[Result] = []
        third = threading.Thread(target=lambda: results.append(client.generate(**REQUEST)))
        third.start()
        wait_for(lambda: value(one.metrics, "triptych_requests_waiting") == 1)
        running.close()
        third.join(60)
        assert results[0].timings.queue_seconds > 0
        wait_for(lambda: value(one.metrics, "triptych_requests_running") == 0)
        client.unregister_checkpoint("queue")


def test_a_stage_that_never_comes_up(served: Served, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    with (
        orchestrator(served, tmp_path, "--recovery-timeout", "2", unet=nowhere) as one,
        triptych.Client(one.address) as client,
    ):
        client.register_checkpoint("lonely", checkpoints["sd1"])
        began = time.monotonic()
        with pytest.raises(UnavailableError, match="no unet replica is up") as caught:
            client.generate(**REQUEST)
        assert time.monotonic() - began < 20
        assert caught.value.metadata["stage"] == "unet"
        (checkpoint,) = client.checkpoints()
        assert checkpoint.state == "failed" and "no unet replica" in checkpoint.error
        # What had been loaded elsewhere meanwhile is not left behind.
        assert not any(model.startswith("lonely.") for one in client.server_info().replicas for model in one.models)
        assert {one.stage: one.ready for one in client.server_info().replicas} == {
            "encoder": True, "unet": False, "vae": True
        }  # fmt: skip


def test_metrics_and_logs_tell_of_a_request(served: Served) -> None:
    processes = {one.name: one for one in served.stack.processes()}
    metrics = processes["orchestrator"].metrics_address
    counted = {
        "triptych_requests_total": {"checkpoint": "sd1", "outcome": "ok"},
        "triptych_steps_total": {"checkpoint": "sd1", "scheduler": "ddim"},
        "triptych_request_seconds_count": {"checkpoint": "sd1"},
        "triptych_wait_seconds_count": {},
        "triptych_stage_seconds_count": {"stage": "unet"},
        "triptych_engine_seconds_count": {"stage": "vae"},
        "triptych_batch_samples_count": {"stage": "encoder"},
    }
    before = {name: value(metrics, name, **labels) for name, labels in counted.items()}
    prompt = f"a star {time.monotonic_ns()}"
    served.client.generate(**REQUEST | {"prompt": prompt, "checkpoint": "sd1"}, request_id="traced-1")
    finished = "triptych_requests_total"
    wait_for(lambda: value(metrics, finished, **counted[finished]) > before[finished])
    grown = {name: value(metrics, name, **labels) - before[name] for name, labels in counted.items()}
    assert grown["triptych_steps_total"] == 3 and grown["triptych_stage_seconds_count"] == 3, grown
    assert all(growth >= 1 for growth in grown.values()), grown
    assert value(metrics, "triptych_replicas_ready", stage="unet") == 1
    refused = value(metrics, "triptych_requests_total", outcome="invalid_argument")
    with pytest.raises(triptych.errors.InvalidArgumentError):
        served.client.generate(**REQUEST | {"checkpoint": "sd1", "width": 1})
    wait_for(lambda: value(metrics, "triptych_requests_total", outcome="invalid_argument") == refused + 1)
    for name in ("encoder-0", "unet-0", "vae-0"):
        assert value(processes[name].metrics_address, "nv_inference_request_success") > 0
        log = Path(processes[name].log_path)
        lines = wait_for(lambda log=log: [line for line in log.read_text().splitlines() if "traced-1" in line], 10)
        # Triton writes the end of its own lines by itself, so that a stage's may come before it.
        records = [json.loads(line[line.index("{") :]) for line in lines if "triptych.stage" in line]
        assert records and all("traced-1" in record["request_ids"] for record in records)
    log = Path(processes["orchestrator"].log_path)
    lines = [json.loads(line) for line in log.read_text().splitlines() if "traced-1" in line]
    assert [line["request_id"] for line in lines if line["message"] == "request finished"] == ["traced-1"]

"""compose.yaml for real: builds, starts, makes a picture from outside, looks at what runs, takes all of it away."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import triptych
from triptych.contract import STAGES
from triptych.demo import checkpoint_path, lora_paths
from triptych.embedded.ports import free_ports

ROOT = Path(__file__).parents[2]
PROJECT = "triptych-test"
SERVICES = (*STAGES, "orchestrator", "gateway")
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
UP_TIMEOUT_S, HEALTHY_TIMEOUT_S = 1500, 180

# A build downloads some hundred megabytes.
pytestmark = [pytest.mark.containers, pytest.mark.timeout(1800)]

KILL = """
import os, pathlib, sys
for link in pathlib.Path("/proc").glob("[0-9]*/exe"):
    if os.path.realpath(link).endswith(sys.argv[1]):
        os.kill(int(link.parent.name), 9)
"""

REACH_OUT = """
import socket
try:
    socket.create_connection(("1.1.1.1", 443), timeout=3)
except OSError:
    print("nothing reached")
"""


def output(command: list[str], timeout_s: float = 60, **more: Any) -> str:
    done = subprocess.run(command, capture_output=True, timeout=timeout_s, check=False, **more)
    assert done.returncode == 0, f"{command}: {done.stderr.decode()[-3000:]}"
    return str(done.stdout, "utf-8")


def compose_command() -> list[str]:
    """`docker compose`, else its first version; skips the test where no engine answers."""

    def works(*command: str) -> bool:
        found = shutil.which(command[0])
        return bool(found) and subprocess.run(command, capture_output=True, timeout=60).returncode == 0

    if not works("docker", "info"):
        pytest.skip("no container engine answers: `docker info` fails")
    for command in (["docker", "compose"], ["docker-compose"]):
        if works(*command, "version"):
            return command
    pytest.skip("neither `docker compose` nor `docker-compose` is installed")


@dataclass(frozen=True)
class Containers:
    compose: list[str]
    environment: dict[str, str]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.environment['TRIPTYCH_PORT']}"

    def run(self, *arguments: str, timeout_s: float = 120) -> str:
        return output([*self.compose, *arguments], timeout_s, cwd=ROOT, env=self.environment)

    def id(self, service: str) -> str:
        return self.run("ps", "-q", service).strip()

    def inspect(self, service: str) -> dict[str, Any]:
        description: dict[str, Any] = json.loads(output(["docker", "inspect", self.id(service)]))[0]
        return description

    def wait_healthy(self, service: str) -> None:
        deadline_s = time.monotonic() + HEALTHY_TIMEOUT_S
        while self.inspect(service)["State"]["Health"]["Status"] != "healthy":
            assert time.monotonic() < deadline_s, self.run("logs", "--tail=50")
            time.sleep(1)


@pytest.fixture(scope="module")
def containers() -> Iterator[Containers]:
    compose = compose_command()
    names = ("TRIPTYCH_PORT", "TRIPTYCH_METRICS_PORT", "TRIPTYCH_GATEWAY_PORT")
    ours = dict(zip(names, map(str, free_ports("127.0.0.1", 3)), strict=True)) | {"COMPOSE_PROJECT_NAME": PROJECT}
    theirs = {name: value for name, value in os.environ.items() if not name.startswith("TRIPTYCH_")}
    stack = Containers(compose, theirs | ours)
    try:
        stack.run("up", "-d", "--build", timeout_s=UP_TIMEOUT_S)
        for service in SERVICES:
            stack.wait_healthy(service)
        yield stack
    finally:
        stack.run("down", "--volumes", "--timeout", "45")


@pytest.fixture
def client(containers: Containers) -> Iterator[triptych.Client]:
    with triptych.Client(containers.address, timeout_s=120) as client:
        yield client


def test_a_picture_from_outside(client: triptych.Client) -> None:
    first, again = (client.generate("a red circle", seed=7, num_inference_steps=3).images[0] for _ in range(2))
    assert len(first.getcolors(first.width * first.height) or []) > 1
    assert first.tobytes() == again.tobytes()


def test_a_picture_over_http(containers: Containers) -> None:
    url = f"http://127.0.0.1:{containers.environment['TRIPTYCH_GATEWAY_PORT']}/sdapi/v1/txt2img"
    body = json.dumps({"prompt": "a red circle", "seed": 7, "steps": 3, "width": 128, "height": 128}).encode()
    asked = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with DIRECT.open(asked, timeout=120) as answer:
        assert json.load(answer)["images"]


@pytest.mark.parametrize("service", SERVICES)
def test_no_process_is_root_or_can_become_it(containers: Containers, service: str) -> None:
    top = output(["docker", "top", containers.id(service), "-eo", "pid,uid,comm"])
    assert {line.split()[1] for line in top.splitlines()[1:]} == {"10001"}
    status = containers.run("exec", "-T", service, "cat", "/proc/1/status")
    facts = dict(line.split(":\t") for line in status.splitlines() if ":\t" in line)
    assert int(facts["CapEff"], 16) == int(facts["CapBnd"], 16) == 0
    assert facts["NoNewPrivs"] == "1"


@pytest.mark.parametrize("service", SERVICES)
def test_the_root_file_system_is_read_only(containers: Containers, service: str) -> None:
    touch = "touch /x /opt/triptych/x 2>&1 | grep -c 'Read-only file system'; touch /var/lib/triptych/cache/x /tmp/x"
    assert containers.run("exec", "-T", service, "sh", "-c", touch).strip() == "2"


def test_loras_are_the_orchestrators_to_write_and_the_stages_to_read(containers: Containers) -> None:
    touch = "touch /var/lib/triptych-loras/x 2>&1 && rm /var/lib/triptych-loras/x || true"
    said = {service: containers.run("exec", "-T", service, "sh", "-c", touch) for service in (*STAGES, "orchestrator")}
    assert said.pop("orchestrator") == ""
    assert all("Read-only file system" in each for each in said.values())


def test_a_lora_sent_from_outside_draws(client: triptych.Client) -> None:
    client.add_lora("stripes", lora_paths()["stripes"])
    plain, striped, again = (
        client.generate("a large blue star", seed=7, num_inference_steps=8, loras=loras).images[0].tobytes()
        for loras in ([], ["stripes"], [])
    )
    assert plain == again != striped


def test_orchestrator_and_gateway_alone_are_published_and_on_loopback(containers: Containers) -> None:
    for stage in STAGES:
        assert not any(containers.inspect(stage)["NetworkSettings"]["Ports"].values())
    for service in ("orchestrator", "gateway"):
        bindings = containers.inspect(service)["NetworkSettings"]["Ports"]
        assert {binding["HostIp"] for ports in bindings.values() for binding in ports} == {"127.0.0.1"}
    assert [*containers.inspect("gateway")["NetworkSettings"]["Networks"]] == [f"{PROJECT}_public"]
    metrics = f"http://127.0.0.1:{containers.environment['TRIPTYCH_METRICS_PORT']}/metrics"
    with DIRECT.open(metrics, timeout=10) as answer:
        assert b"triptych_requests_total" in answer.read()


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_cannot_be_reached_and_reaches_nothing(containers: Containers, stage: str) -> None:
    networks = containers.inspect(stage)["NetworkSettings"]["Networks"]
    (address,) = (network["IPAddress"] for network in networks.values())
    with pytest.raises(OSError):
        DIRECT.open(f"http://{address}:8002/metrics", timeout=3)
    assert containers.run("exec", "-T", stage, "python", "-c", REACH_OUT).strip() == "nothing reached"


def test_a_checkpoint_put_on_the_volume(containers: Containers, client: triptych.Client) -> None:
    folder = "/var/lib/triptych/checkpoints/mine"
    packed = subprocess.run(["tar", "-C", str(checkpoint_path()), "-c", "."], capture_output=True, check=True).stdout
    unpack = ["docker", "exec", "-i", containers.id("orchestrator"), "sh", "-c", f"mkdir {folder} && tar -xC {folder}"]
    output(unpack, input=packed)
    client.register_checkpoint("mine", folder, load=True)
    asked: dict[str, Any] = {"seed": 7, "num_inference_steps": 2}
    ours, mine = (client.generate("a red circle", checkpoint=name, **asked).images[0] for name in ("demo", "mine"))
    assert ours.tobytes() == mine.tobytes()
    client.unregister_checkpoint("mine")


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_stage_comes_back(containers: Containers, client: triptych.Client, stage: str) -> None:
    # Unchecked, for the container may end before the command in it.
    subprocess.run(
        ["docker", "exec", containers.id(stage), "python", "-c", KILL, "/tritonserver"], check=False, timeout=60
    )
    # A new seed and prompt: nothing that was kept can answer for the stage.
    assert client.generate(f"a small star, {stage}", seed=11, num_inference_steps=2).images
    assert containers.inspect(stage)["RestartCount"] == 1


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_models_process_is_replaced(containers: Containers, client: triptych.Client, stage: str) -> None:
    restarts = containers.inspect(stage)["RestartCount"]
    output(["docker", "exec", containers.id(stage), "python", "-c", KILL, "/triton_python_backend_stub"])
    assert client.generate(f"a large star, {stage}", seed=12, num_inference_steps=2).images
    assert containers.inspect(stage)["RestartCount"] == restarts


@pytest.mark.parametrize("stage", STAGES)
def test_shared_memory_is_private(containers: Containers, stage: str) -> None:
    listed = containers.run("exec", "-T", stage, "sh", "-c", "stat -c '%a %n' /dev/shm/triptych-*").splitlines()
    assert listed and {line.split()[0] for line in listed} == {"600"}


def test_the_end_is_orderly(containers: Containers) -> None:
    ids = [containers.id(service) for service in SERVICES]
    containers.run("stop")
    codes = output(["docker", "inspect", "-f", "{{.State.ExitCode}}", *ids]).split()
    for container, service, code in zip(ids, SERVICES, codes, strict=True):
        logs = subprocess.run(
            ["docker", "logs", "--tail", "25", container], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=True
        )
        assert code == "0", f"{service}: {logs.stdout.decode()}"

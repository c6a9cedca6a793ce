from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import triptych
from tests.conftest import CACHE
from tests.embedded.conftest import wait_for
from tests.embedded.standin import StandIns
from triptych.embedded import Stack, StackConfig
from triptych.embedded.cores import format_cores, parse_cores
from triptych.embedded.placement import read_placement
from triptych.embedded.ports import free_ports
from triptych.embedded.processes.process import group_members
from triptych.embedded.replica import Replica
from triptych.errors import InvalidArgumentError

CORES = sorted(os.sched_getaffinity(0))
REQUEST = {"prompt": "a star", "num_inference_steps": 3, "seed": 1, "width": 64, "height": 64}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "placement.toml"


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "TRIPTYCH_ENGINE", "TRIPTYCH_DEVICE"):
        monkeypatch.delenv(name, raising=False)


def entries(*texts: str) -> str:
    return "".join(f"[[replica]]\n{text}\n" for text in texts)


def test_what_the_file_does_not_name_gets_one(file: Path) -> None:
    first = CORES[0]
    file.write_text(
        entries(
            "stage = 'vae'\naddress = '10.0.0.7:8001'",
            f"stage = 'unet'\ncores = '{first}'",
            "stage = 'unet'\ndevice = 'cuda:1'\nengine = 'tensorrt'\nprecision = 'fp16'",
        )
    )
    assert read_placement(file) == (
        Replica("encoder"),
        Replica("unet", cores=(first,)),
        Replica("unet", device="cuda:1", engine="tensorrt", precision="fp16"),
        Replica("vae", address="10.0.0.7:8001"),
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "there is no [[replica]] in it"),
        ("[[replica]", "is no TOML"),
        ("[[replicas]]\nstage = 'unet'", "'replicas' is unknown; there are only [[replica]]"),
        ("replica = 'unet'", "must be written as [[replica]]"),
        ("[replica]\nstage = 'unet'", "must be written as [[replica]]"),
        (entries("cores = '0'"), "[[replica]] number 1: stage: is missing; it is one of encoder, unet, vae"),
        (entries("stage = 'unet'", "stage = 'text'"), "[[replica]] number 2: stage: 'text' is not one of encoder"),
        (entries("stage = 'unet'\ncore = '0'"), "core: is unknown; there are stage, cores, device, engine"),
        (entries("stage = 'unet'\ncores = 0"), "cores: must be a text in quotes"),
        (entries("stage = 'unet'\ncores = ''"), "cores: must be a text in quotes that is not empty"),
        (entries("stage = 'unet'\ncores = '3-1'"), "cores: '3-1' is no set of cores"),
        (entries("stage = 'unet'\ncores = '0,,1'"), "cores: '0,,1' is no set of cores"),
        (entries("stage = 'unet'\ncores = '²'"), "cores: '²' is no set of cores"),
        (entries("stage = 'unet'\ncores = '9998-9999'"), f"9998-9999 cannot be had: this process may use {CORES[0]}"),
        (entries("stage = 'unet'\nthreads = 0"), "threads: must be a whole number of at least 1, not 0"),
        (entries("stage = 'unet'\nthreads = true"), "threads: must be a whole number of at least 1, not True"),
        (entries("stage = 'unet'\nthreads = 5000"), "threads: 5000 is not within 1..4096"),
        (entries("stage = 'unet'\ndevice = 'cuda'"), "device: 'cuda' is neither cpu nor cuda:<index>"),
        (entries("stage = 'unet'\nengine = 'magic'"), "engine: 'magic' is not one of onnxruntime, torch, tensorrt"),
        (entries("stage = 'unet'\nprecision = 'int8'"), "precision: 'int8' is not one of fp32, fp16, bf16"),
        (entries("stage = 'unet'\ndevice = 'cuda:0'"), "engine: must be named: torch or tensorrt can do this"),
        (entries("stage = 'unet'\nprecision = 'bf16'"), "engine: must be named: torch can do this"),
        (entries("stage = 'unet'\nengine = 'tensorrt'"), "device: tensorrt runs on cuda, not on cpu"),
        (
            entries("stage = 'unet'\nengine = 'onnxruntime'\ndevice = 'cuda:0'"),
            "device: onnxruntime runs on cpu, not on cuda",
        ),
        (
            entries("stage = 'unet'\nengine = 'torch'\nprecision = 'fp16'"),
            "precision: torch on cpu computes in fp32, bf16, not in fp16",
        ),
        (entries("stage = 'unet'\nprecision = 'fp16'"), "precision: an engine on cpu computes in fp32, bf16"),
        (entries("stage = 'vae'\naddress = 'host'"), "address: 'host' is not HOST:PORT"),
        (entries("stage = 'vae'\naddress = 'host:65536'"), "address: 'host:65536' is not HOST:PORT"),
        (entries("stage = 'vae'\naddress = 'http://host:8001'"), "nor a gRPC target such as dns:///HOST:PORT"),
        (entries("stage = 'vae'\naddress = 'dns:///host'"), "address: 'dns:///host' is not HOST:PORT"),
        (entries("stage = 'vae'\naddress = 'ipv4:10.0.0.7:8001,10.0.0.8'"), "is not HOST:PORT"),
        (
            entries(f"stage = 'vae'\naddress = 'host:8001'\ncores = '{CORES[0]}'"),
            "[[replica]] number 1: cores: cannot be said of a server with an address",
        ),
        (
            entries("stage = 'vae'\naddress = 'host:8001'\nengine = 'torch'"),
            "engine: cannot be said of a server with an address: whoever runs host:8001 decides that",
        ),
        (entries(*["stage = 'vae'\naddress = 'host:8001'"] * 2), "two replicas of vae have the address host:8001"),
        (entries(*["stage = 'vae'"] * 65), "65 replicas of vae are more than 64"),
    ],
)
def test_what_is_wrong_is_named(file: Path, text: str, problem: str) -> None:
    file.write_text(text)
    with pytest.raises(InvalidArgumentError) as caught:
        triptych.local({}, placement=file)
    assert str(file) in caught.value.message and problem in caught.value.message
    assert caught.value.metadata == {"field": "placement"}


def test_a_file_that_is_no_text(file: Path) -> None:
    file.write_bytes(b"\xff")
    with pytest.raises(InvalidArgumentError, match="is no TOML"):
        read_placement(file)


@pytest.mark.parametrize(
    "address",
    [
        "vae.example:8001",
        "[fd00::7]:8001",
        "dns:///vae:8001",
        "ipv4:10.0.0.7:8001",
        "ipv6:[fd00::7]:8001",
        "unix:/run/vae",
    ],
)
def test_an_address_is_any_grpc_target(file: Path, address: str) -> None:
    file.write_text(entries(f"stage = 'vae'\naddress = '{address}'"))
    assert read_placement(file)[-1] == Replica("vae", address=address)


@pytest.mark.parametrize("other", ["replicas", "threads"])
def test_it_is_said_in_one_place(file: Path, other: str) -> None:
    file.write_text(entries("stage = 'unet'"))
    with pytest.raises(InvalidArgumentError, match=f"^{other}: cannot be given together with placement"):
        StackConfig({}, placement=file, **{other: {"unet": 2}}).validate()  # type: ignore[arg-type]


def test_cores_as_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(12)))
    assert parse_cores("8, 0-3,2") == (0, 1, 2, 3, 8)
    assert format_cores({0, 1, 2, 3, 8, 10, 11}) == "0-3,8,10-11"
    assert format_cores(()) == ""


@pytest.mark.parametrize(
    ("replica", "base", "expected"),
    [
        (Replica("unet"), {}, {}),
        (Replica("unet", cores=(0, 5)), {"TRIPTYCH_THREADS": "9"}, {"TRIPTYCH_THREADS": "2"}),
        (Replica("unet", cores=(0, 5), threads=4), {}, {"TRIPTYCH_THREADS": "4"}),
        (Replica("unet", device="cpu"), {}, {"TRIPTYCH_DEVICE": "cpu", "CUDA_VISIBLE_DEVICES": ""}),
        (
            Replica("unet", device="cuda:1", engine="torch", precision="bf16"),
            {},
            {
                "TRIPTYCH_DEVICE": "cuda:0",
                "TRIPTYCH_ENGINE": "torch",
                "TRIPTYCH_PRECISION": "bf16",
                "CUDA_VISIBLE_DEVICES": "1",
                "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            },
        ),
        (
            Replica("unet", device="cuda:1"),
            {"CUDA_VISIBLE_DEVICES": "4, GPU-77"},
            {"TRIPTYCH_DEVICE": "cuda:0", "CUDA_VISIBLE_DEVICES": "GPU-77"},
        ),
    ],
)
def test_what_its_server_finds_in_the_environment(
    replica: Replica, base: dict[str, str], expected: dict[str, str]
) -> None:
    assert replica.environment(base) == expected


def test_a_gpu_that_this_process_may_not_see(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    file.write_text(entries("stage = 'unet'\ndevice = 'cuda:1'\nengine = 'torch'"))
    with pytest.raises(InvalidArgumentError, match="device: there is no cuda:1: CUDA_VISIBLE_DEVICES is '3'"):
        read_placement(file)


def test_servers_of_others_are_known_and_not_started(file: Path, tmp_path: Path) -> None:
    file.write_text(
        entries(
            "stage = 'unet'\naddress = '10.0.0.7:8001'",
            "stage = 'unet'\nengine = 'torch'\nprecision = 'bf16'",
            "stage = 'vae'\naddress = 'vae.example:8001'",
        )
    )
    with Stack(StackConfig({}, cache_dir=tmp_path, placement=file), StandIns()) as stack:
        rows = {row.name: row for row in stack.processes()}
        assert list(rows) == ["encoder-0", "unet-1", "orchestrator", "unet-0", "vae-0"]
        ours = f"--encoder {rows['encoder-0'].address} --unet 10.0.0.7:8001 --unet {rows['unet-1'].address}"
        assert f"{ours} --vae vae.example:8001 " in Path(rows["orchestrator"].log_path).read_text()
        assert (rows["unet-0"].pid, rows["unet-0"].place) == (None, ("elsewhere", "-", "-"))
        assert rows["unet-1"].place == ("cpu", "all", "torch bf16")
        assert rows["encoder-0"].place == ("cpu", "all", "onnxruntime")
    assert stack.processes() == []


@pytest.fixture
def pinned(file: Path, checkpoints: dict[str, Path]) -> Iterator[tuple[Stack, triptych.Client]]:
    """Two UNet replicas with a core each, on the tiny checkpoint."""
    file.write_text(entries(*(f"stage = 'unet'\ncores = '{core}'" for core in CORES[:2])))
    local = triptych.local({"sd1": checkpoints["sd1"]}, placement=file, cache_dir=CACHE, startup_timeout_s=240)
    with local as client:
        yield local.stack, client


@pytest.mark.skipif(len(CORES) < 2, reason="needs two cores")
def test_two_unets_with_a_core_each(pinned: tuple[Stack, triptych.Client], checkpoints: dict[str, Path]) -> None:
    stack, client = pinned
    for row in stack.processes():
        members = group_members(row.pid or 0)
        allowed = {frozenset(os.sched_getaffinity(pid)) for pid in members}
        if row.name.startswith("unet"):
            core = CORES[int(row.name[-1])]
            assert row.place == ("cpu", str(core), "onnxruntime")
            assert len(members) >= 2, "Triton and the model's process"
            assert allowed == {frozenset({core})}
            status = Path(f"/proc/{row.pid}/status").read_text()
            assert f"Cpus_allowed_list:\t{core}\n" in status
        else:
            assert allowed == {frozenset(CORES)}
    # The server serves with the first replica that is up; the other is given its model when it is.
    wait_for(lambda: [one.models for one in client.server_info().replicas if one.stage == "unet"] == [["sd1.unet"]] * 2)
    pictures = [client.generate(**REQUEST) for _ in range(2)]  # type: ignore[arg-type]
    with triptych.local({"sd1": checkpoints["sd1"]}, cache_dir=CACHE) as one:
        expected = np.asarray(one.generate(**REQUEST).images[0], np.int16)  # type: ignore[arg-type]
    for picture in pictures:
        # One thread adds up in another order than two.
        assert np.abs(np.asarray(picture.images[0], np.int16) - expected).max() <= 1


def test_a_vae_that_somebody_else_runs_with_an_engine_of_its_own(
    file: Path, tmp_path: Path, checkpoints: dict[str, Path]
) -> None:
    port, metrics_port = free_ports("127.0.0.1", 2)
    command = [sys.executable, "-m", "triptych.cli.main", "stage", "vae", "--engine", "torch"]
    command += ["--port", str(port), "--metrics-port", str(metrics_port), "--run-dir", str(tmp_path / "stage")]
    file.write_text(entries(f"stage = 'vae'\naddress = '127.0.0.1:{port}'"))
    log_path = tmp_path / "log"
    with log_path.open("w") as log, subprocess.Popen(command, stdout=log, stderr=log) as stage:
        try:
            with triptych.local({"sd1": checkpoints["sd1"]}, placement=file, cache_dir=CACHE) as client:
                client.generate(**REQUEST)  # type: ignore[arg-type]
                (vae,) = (replica for replica in client.server_info().replicas if replica.stage == "vae")
                assert (vae.name, vae.address, vae.models) == ("vae-0", f"127.0.0.1:{port}", ["sd1.vae_decoder"])
                assert '"engine": "torch"' in log_path.read_text()
                # The checkpoint's own engine counts for more.
                client.register_checkpoint("sd1", checkpoints["sd1"], engine="onnxruntime")
                client.generate(**REQUEST)  # type: ignore[arg-type]
                assert '"engine": "onnxruntime"' in log_path.read_text()
        finally:
            stage.terminate()
        assert stage.wait(30) == 0

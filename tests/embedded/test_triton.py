from __future__ import annotations

import json
import os
import signal
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc as triton_client

from triptych.embedded import Stack, StackConfig, triton
from triptych.embedded.commands import Commands
from triptych.embedded.probe import TRITON_READY, is_ready
from triptych.embedded.process import group_members
from triptych.embedded.shm import FOLDER
from triptych.errors import FailedPreconditionError

from .conftest import wait_for
from .standin import StandIns

MODEL = b"""
import os, sys
import numpy as np
import triton_python_backend_utils as pb_utils
import triptych

class TritonPythonModel:
    def execute(self, requests):
        said = np.array([sys.prefix.encode(), os.environ["TRIPTYCH_STAGE"].encode()], dtype=np.object_)
        return [pb_utils.InferenceResponse([pb_utils.Tensor("said", said)]) for _ in requests]
"""
CONFIG = json.dumps(
    {
        "name": "echo",
        "backend": "python",
        "input": [{"name": "x", "data_type": "TYPE_FP32", "dims": [1]}],
        "output": [{"name": "said", "data_type": "TYPE_STRING", "dims": [2]}],
        "instance_group": [{"kind": "KIND_CPU"}],
    }
)


class RealStages(Commands):
    """Triton itself, and a stand-in for the orchestrator."""

    def orchestrator(self) -> tuple[str, ...]:
        return StandIns().orchestrator()


def regions_of(name: str) -> list[Path]:
    return [path for path in FOLDER.glob("triptych-*") if f"-{name}-" in path.name]


def test_triton_runs_our_python_and_comes_back_after_a_kill(tmp_path: Path) -> None:
    others = {name: set(regions_of(name)) for name in ("unet-0", "encoder-0", "vae-0")}
    with Stack(StackConfig({}, run_dir=tmp_path / "run", cache_dir=tmp_path), RealStages()) as stack:
        unet = next(row for row in stack.processes() if row.name == "unet-0")
        groups = [row.pid or 0 for row in stack.processes()]
        client = triton_client.InferenceServerClient(unet.address)
        client.load_model("echo", config=CONFIG, files={"file:1/model.py": MODEL})
        request = triton_client.InferInput("x", [1], "FP32")
        request.set_data_from_numpy(np.zeros(1, np.float32))
        said = client.infer("echo", [request]).as_numpy("said")
        assert said is not None
        assert [item.decode() for item in said] == [sys.prefix, "unet"]
        client.close()
        metrics = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with metrics.open(f"http://{unet.metrics_address}/metrics", timeout=10) as answer:
            assert b"nv_inference_request_success" in answer.read()

        assert set(regions_of("unet-0")) - others["unet-0"]
        assert len(group_members(unet.pid or 0)) == 2
        os.kill(unet.pid or 0, signal.SIGKILL)
        wait_for(lambda: stack.processes()[1].restarts == 1)
        assert not group_members(unet.pid or 0)
        assert not set(regions_of("unet-0")) - others["unet-0"]
        wait_for(lambda: is_ready(unet.address, TRITON_READY))
        client = triton_client.InferenceServerClient(unet.address)
        client.load_model("echo", config=CONFIG, files={"file:1/model.py": MODEL})
        client.close()
        groups += [row.pid or 0 for row in stack.processes()]
    assert not any(group_members(group) for group in groups)
    assert not any(set(regions_of(name)) - others[name] for name in others)


def fake_install(root: Path, python: str) -> Path:
    (root / "bin").mkdir()
    (root / "backends/python").mkdir(parents=True)
    (root / "bin/tritonserver").touch()
    (root / "backends/python/libtriton_python.so").touch()
    (root / "backends/python" / triton.STUB).write_bytes(f"\0libpython{python}.so.1.0\0".encode())
    return root


def test_an_install_by_its_root_or_its_binary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = fake_install(tmp_path, triton.PYTHON)
    monkeypatch.setenv(triton.OVERRIDE, str(root))
    found = triton.find_triton()
    assert found.binary == root / "bin/tritonserver"
    assert found.libraries == root / "lib"
    monkeypatch.setenv(triton.OVERRIDE, str(found.binary))
    assert triton.find_triton() == found


def test_an_install_for_another_python_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(triton.OVERRIDE, str(fake_install(tmp_path, "3.8")))
    with pytest.raises(FailedPreconditionError, match=r"built for Python 3\.8, but this is Python 3\.11"):
        triton.find_triton()


def test_no_install_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(triton.OVERRIDE, str(tmp_path))
    with pytest.raises(FailedPreconditionError, match=r"does not exist; install it with `pip install"):
        triton.find_triton()


def test_no_libpython_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton, "LIBPYTHON", "libpython-none.so")
    with pytest.raises(FailedPreconditionError, match=r"apt-get install libpython3\.11"):
        triton.find_libpython()

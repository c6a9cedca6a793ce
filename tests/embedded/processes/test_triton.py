from __future__ import annotations

import os
import signal
import sys
import urllib.request
from pathlib import Path

import pytest
import tritonclient.grpc as triton_client

from tests.embedded import echo
from tests.embedded.conftest import environment_of, is_private, regions_of, stub_below, wait_for
from tests.embedded.standin import StandIns
from triptych.embedded import Stack, StackConfig
from triptych.embedded.commands import Commands
from triptych.embedded.processes import triton
from triptych.embedded.processes.probe import TRITON_READY, is_ready
from triptych.embedded.processes.process import group_members
from triptych.errors import FailedPreconditionError


class RealStages(Commands):
    """Triton itself, and a stand-in for the orchestrator."""

    def orchestrator(self) -> tuple[str, ...]:
        return StandIns().orchestrator()


def test_triton_runs_our_python_and_comes_back_after_a_kill(tmp_path: Path) -> None:
    with Stack(StackConfig({}, run_dir=tmp_path / "run", cache_dir=tmp_path), RealStages()) as stack:
        unet = next(row for row in stack.processes() if row.name == "unet-0")
        triton = unet.pid or 0
        groups = [row.pid or 0 for row in stack.processes()]
        with triton_client.InferenceServerClient(unet.address) as client:
            echo.load(client)
            assert echo.ask(client) == [sys.prefix, "unet"]
        metrics = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with metrics.open(f"http://{unet.metrics_address}/metrics", timeout=10) as answer:
            assert b"nv_inference_request_success" in answer.read()

        shared = regions_of(triton)
        assert shared and all(map(is_private, shared))
        temporary = Path(environment_of(stub_below(triton))["TMPDIR"])
        assert tmp_path / "run" in temporary.parents and is_private(temporary)
        assert all(is_private(path) for path in (tmp_path / "run").iterdir() if path.suffix == ".log")

        assert len(group_members(triton)) == 2
        os.kill(triton, signal.SIGKILL)
        wait_for(lambda: stack.processes()[1].restarts == 1)
        assert not group_members(triton)
        assert not any(path.exists() for path in shared)
        wait_for(lambda: is_ready(unet.address, TRITON_READY))
        with triton_client.InferenceServerClient(unet.address) as client:
            echo.load(client)
        triton = stack.processes()[1].pid or 0
        shared = regions_of(triton)
        groups.append(triton)
    assert shared and not any(path.exists() for path in shared)
    assert not any(group_members(group) for group in groups)
    assert not temporary.exists()


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


def test_numpys_threads_sleep_unless_the_operator_has_them_spin(tmp_path: Path) -> None:
    found = triton.find_triton()
    assert found.environment(tmp_path, {})["OPENBLAS_THREAD_TIMEOUT"] == "4"
    assert found.environment(tmp_path, {"OPENBLAS_THREAD_TIMEOUT": "26"})["OPENBLAS_THREAD_TIMEOUT"] == "26"


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

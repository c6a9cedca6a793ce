"""The whole of it on a CPU, with a tiny checkpoint: from finding what is there to the page."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CACHE
from triptych.gpu_check import nvml

TINY = ("--device", "cpu", "--models", "tiny", "--edges", "64", "--steps", "2", "--rounds", "1", "--no-tests")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, checkpoints: dict[str, Path]) -> Path:
    """A folder with a checkpoint, of an architecture that other tests have exported."""
    folder = tmp_path_factory.mktemp("gpu-check")
    (folder / "tiny").symlink_to(checkpoints["sd1"], target_is_directory=True)
    (folder / "cache").symlink_to(CACHE, target_is_directory=True)
    return folder


def command(page: Path, folder: Path, *options: str) -> list[str]:
    return [sys.executable, "-m", "triptych", "gpu-check", str(page), "--folder", str(folder), *TINY, *options]


def checked(page: Path, folder: Path, *options: str, code: int = 0, timeout_s: float = 240) -> dict[str, Any]:
    done = subprocess.run(command(page, folder, *options), capture_output=True, text=True, timeout=timeout_s)
    assert done.returncode == code, done.stderr
    assert done.stdout.strip() == str(page), done.stderr
    data: dict[str, Any] = json.loads(page.with_suffix(".json").read_text())
    return data["rows"]


@pytest.fixture(scope="module")
def rows(folder: Path) -> dict[str, Any]:
    """Of Triptych's servers all that is measured."""
    return checked(folder / "gpu.md", folder, "--only", "onnxruntime")


def test_every_measure_is_taken_of_real_servers(rows: dict[str, Any]) -> None:
    measured = {name: entry["figures"] for name, entry in rows.items() if entry["status"] == "measured"}
    kinds = {f"tiny/onnxruntime/{kind}/64" for kind in ("picture", "lora", "control", "eight", "swap", "switch")}
    assert kinds <= measured.keys()
    for name in (f"tiny/onnxruntime/{kind}/64" for kind in ("picture", "lora", "control")):
        figures = measured[name]
        assert 0 < figures["least"] <= figures["seconds"] <= figures["greatest"]
        assert figures["peak_bytes"] > 50e6
    assert measured["tiny/onnxruntime/picture/64"]["engine_step_seconds"] > 0
    assert measured["tiny/onnxruntime/eight/64"]["batch_samples"] >= 2
    assert measured["tiny/onnxruntime/switch/64"]["loading_seconds"] > 0


def test_the_page_holds_what_was_measured(rows: dict[str, Any], folder: Path) -> None:
    page = (folder / "gpu.md").read_text()
    for text in ("none; cpu |", "| 64x64 | Triptych, ONNX Runtime |", "eight requests"):
        assert text in page
    seconds = rows["tiny/onnxruntime/picture/64"]["figures"]["seconds"]
    assert f"| 64x64 | Triptych, ONNX Runtime | {seconds:.3f} (" in page


@pytest.mark.slow
def test_diffusers_stands_beside_and_is_left_out_once_known(rows: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    page = Path(shutil.copy(folder / "gpu.md", tmp_path))
    shutil.copy(folder / "gpu.json", tmp_path)
    added = checked(page, folder, "--only", "tiny/diffusers/picture/64")
    assert rows.items() <= added.items() and added["tiny/diffusers/picture/64"]["figures"]["seconds"] > 0
    assert "| 64x64 | diffusers, eager |" in page.read_text()
    assert checked(page, folder, "--only", "tiny/diffusers/picture/64", "--resume") == added
    assert len(json.loads(page.with_suffix(".json").read_text())["runs"]) == 3


def test_what_there_is_no_time_for_says_so(folder: Path, tmp_path: Path) -> None:
    rows = checked(tmp_path / "gpu.md", folder, "--minutes", "0.5")
    assert {entry["status"] for entry in rows.values()} == {"skipped", "absent"}
    told = rows["tiny/diffusers/picture/64"]["why"]
    assert "s were left, about" in told and told in (tmp_path / "gpu.md").read_text()
    assert "tensorrt" in rows["tiny/tensorrt/picture/64"]["why"]


@pytest.mark.slow
def test_engines_alone_are_measured_where_triton_cannot_run(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPTYCH_TRITONSERVER", "/nowhere")
    page = tmp_path / "gpu.md"
    checked(page, folder, "--only", "torch-engines")
    rows = checked(page, folder, "--only", "onnxruntime")
    assert rows["tiny/torch-engines/picture/64"]["status"] == "measured"
    assert rows["tiny/onnxruntime/picture/64"]["why"].startswith("no Triton Inference Server: /nowhere")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_torch_engine_and_split_guidance_go_through_the_same(folder: Path, tmp_path: Path) -> None:
    rows = checked(tmp_path / "gpu.md", folder, "--device", "cpu", "--only", "torch-split", timeout_s=900)
    assert rows["tiny/torch-split/picture/64"]["status"] == "measured"


@pytest.mark.slow
def test_a_side_that_fails_is_told_and_the_next_one_measured(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "folder"
    shutil.copytree(folder / "tiny", broken / "tiny")
    (broken / "tiny" / "vae" / "config.json").write_text("{}")
    monkeypatch.setenv("TRIPTYCH_TRITONSERVER", "/nowhere")
    rows = checked(tmp_path / "gpu.md", broken, "--only", "picture", "64", "torch-engines", code=1)
    assert rows["tiny/torch-engines/picture/64"]["status"] == "failed"


@pytest.mark.slow
def test_being_stopped_loses_nothing(folder: Path, tmp_path: Path) -> None:
    page = tmp_path / "gpu.md"
    process = subprocess.Popen(command(page, folder, "--only", "picture", "64"), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    until_s = time.monotonic() + 120
    with process.stderr:
        while "Triptych, torch" not in process.stderr.readline():  # the side before it is measured then
            assert time.monotonic() < until_s
        process.send_signal(signal.SIGTERM)
        said = process.stderr.read()
    assert process.wait(60) == 130 and "Traceback" not in said
    assert "| 64x64 | diffusers, eager |" in page.read_text()


def test_without_a_gpu_there_is_an_exit_code_for_that(tmp_path: Path) -> None:
    if nvml.Driver.find():
        pytest.skip("there is one")
    page = tmp_path / "gpu.md"
    arguments = [sys.executable, "-m", "triptych", "gpu-check", str(page), "--folder", str(tmp_path)]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    assert done.returncode == 10 and "no GPU" in done.stderr and "--device cpu" in done.stderr
    assert not page.exists()

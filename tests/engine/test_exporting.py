"""An export's bounds: weights that fit, seconds, memory, and the life of the process that asked for it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import safetensors.torch

from tests.e2e.serving import wait_for
from tests.engine.cache.test_artifacts import ARCHITECTURE, KEY, Workshop
from triptych.checkpoint import Checkpoint
from triptych.engine.cache import artifacts
from triptych.engine.cache.artifacts import ensure_graph
from triptych.engine.exporting import describe_weights, described_component, run_exporter
from triptych.errors import CheckpointInvalidError, InvalidArgumentError, ResourceExhaustedError, TriptychError

# Stand for an exporter by what they do in place of an export.
HANGS = "import time\nwhile True: time.sleep(1)\n"
GROWS = "import time\nheld = []\nwhile True: held.append(b'x' * 10_000_000); time.sleep(0.001)\n"
IS_KILLED = "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n"
COMPLAINS = "raise SystemExit('x' * 200_000 + '\\nno such layer')\n"
BUILDER = """
import sys
from pathlib import Path
from triptych.checkpoint import Checkpoint
from triptych.engine.cache.artifacts import ensure_graph
component = Checkpoint.open(Path(sys.argv[1])).components["unet"]
ensure_graph(component.architecture, Path(sys.argv[2]), component=component)
"""


def exporter(folder: Path, script: str) -> str:
    """A `python` that runs the script whatever it is told."""
    (folder / "script.py").write_text(script)
    python = folder / "python"
    python.write_text(f"#!/bin/sh\nexec {sys.executable} {folder / 'script.py'}\n")
    python.chmod(0o755)
    return str(python)


def test_one_that_takes_too_long_is_ended_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = Workshop(tmp_path, delay=600)
    monkeypatch.setattr(artifacts, "_python", lambda: str(shop.python))
    monkeypatch.setenv("TRIPTYCH_EXPORT_SECONDS", "1")
    with pytest.raises(ResourceExhaustedError, match="took longer than 1 s and was ended; TRIPTYCH_EXPORT_SECONDS"):
        ensure_graph(ARCHITECTURE, shop.cache)
    assert [path.name for path in (shop.cache / "graphs").iterdir()] == [f"{KEY}.lock"]


def test_one_that_takes_too_much_memory_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_EXPORT_BYTES", "200000000")
    with pytest.raises(ResourceExhaustedError, match=r"took more than 0\.2 GB of memory .*TRIPTYCH_EXPORT_BYTES"):
        run_exporter(exporter(tmp_path, GROWS), "AutoencoderKL", [])


@pytest.mark.parametrize("value", ["0", "-1", "much", "1e9"])
def test_bounds_that_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("TRIPTYCH_EXPORT_BYTES", value)
    with pytest.raises(InvalidArgumentError, match=r"TRIPTYCH_EXPORT_BYTES: .* is not a whole number"):
        run_exporter(exporter(tmp_path, HANGS), "AutoencoderKL", [])


@pytest.mark.parametrize(("script", "said"), [(IS_KILLED, "its process ended with -15"), (COMPLAINS, "no such layer")])
def test_one_that_fails_says_why(tmp_path: Path, script: str, said: str) -> None:
    with pytest.raises(TriptychError, match=f"exporting AutoencoderKL failed: {said}"):
        run_exporter(exporter(tmp_path, script), "AutoencoderKL", [])


def test_weights_travel_as_they_are_checked(checkpoints: dict[str, Path]) -> None:
    component = Checkpoint.open(checkpoints["sd1"]).components["vae_decoder"]
    described = described_component(component.architecture, describe_weights(component))
    assert described.place == component.place
    assert {name: (info.path, info.dtype, info.shape) for name, info in described.weights.items()} == {
        name: (info.path, info.dtype, info.shape) for name, info in component.weights.items()
    }


def test_nothing_is_exported_for_weights_that_do_not_fit(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    broken = Path(shutil.copytree(checkpoints["sd1"], tmp_path / "broken"))
    file = broken / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = safetensors.torch.load_file(file)
    lost = "decoder.mid_block.attentions.0.to_q.weight"
    safetensors.torch.save_file({name: tensor for name, tensor in tensors.items() if name != lost}, file)
    component = Checkpoint.open(broken).components["vae_decoder"]
    with pytest.raises(CheckpointInvalidError, match=f"the weights lack {lost}") as caught:
        ensure_graph(component.architecture, tmp_path / "cache", component=component)
    assert caught.value.metadata == {"file": str(broken / "vae"), "tensor": lost}


def test_it_ends_with_the_process_that_asked_for_it(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    command = [sys.executable, "-c", BUILDER, str(checkpoints["sd1"]), str(tmp_path)]
    builder = subprocess.Popen(command, start_new_session=True)

    def exports() -> list[int]:
        """Processes that have the request in their arguments."""
        found = []
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal() and int(folder.name) != builder.pid:
                try:
                    arguments = (folder / "cmdline").read_bytes()
                except OSError:
                    continue
                found += [int(folder.name)] * (os.fsencode(tmp_path / "graphs") in arguments)
        return found

    try:
        wait_for(exports, what="the exporter")
        builder.send_signal(signal.SIGKILL)
        builder.wait()
        wait_for(lambda: not exports(), what="the exporter's end")
    finally:
        if builder.poll() is None:
            builder.kill()
            builder.wait()

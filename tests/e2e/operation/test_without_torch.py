"""Real servers where torch is not installed: checkpoints of the standard architectures are served, others are not."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from tests.hollow import environment_without_torch, save_hollow
from triptych.demo import checkpoint_path
from triptych.measuring.checkpoints import SIZES, Size

SERVE = """
import importlib.util, sys
from pathlib import Path
import triptych
from triptych.errors import FailedPreconditionError
from PIL import Image

assert not any(map(importlib.util.find_spec, ("torch", "diffusers", "transformers", "onnxscript")))
cache = Path(sys.argv[2])
with triptych.local({"standard": sys.argv[1]}, cache_dir=cache) as client:
    asked = {"num_inference_steps": 2, "width": 64, "height": 64, "checkpoint": "standard"}
    for image in (None, Image.new("RGB", (64, 64))):
        result = client.generate("a", **asked, **({} if image is None else {"image": image, "strength": 1.0}))
        assert result.images[0].size == (64, 64)
    assert {path.name for path in cache.glob("*")} <= {"hashes"}, "something was built"
    try:
        client.register_checkpoint("own", sys.argv[3], load=True)
    except FailedPreconditionError as error:
        print(error.message)
"""


def small(size: Size) -> Size:
    """For pictures that take no time; their size shapes no graph."""
    return replace(size, unet={**size.unet, "sample_size": 8})


@pytest.fixture(scope="module")
def python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return environment_without_torch(tmp_path_factory.mktemp("environment"))


@pytest.mark.parametrize(
    "name", ["demo", *(pytest.param(name, marks=pytest.mark.slow) for name in ("sd15-fp16", "sd21", "sdxl"))]
)
def test_a_standard_checkpoint_is_served(name: str, python: Path, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    path = checkpoint_path() if name == "demo" else save_hollow(tmp_path / name, small(SIZES[name]))
    command = [python, "-c", SERVE, path, tmp_path / "cache", checkpoints["sd1"]]
    run = subprocess.run(command, capture_output=True, text=True, timeout=1200, check=False)
    assert run.returncode == 0, run.stderr
    assert "exporting one needs torch, diffusers, transformers, onnxscript" in run.stdout

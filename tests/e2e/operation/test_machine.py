"""A stack among others on its machine: what others can see of it, and names of folders that are not ASCII."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.conftest import Served
from tests.e2e.serving import SIZE
from tests.embedded.conftest import environment_of, is_private, regions_of
from tests.embedded.processes.test_ascii_python import environment
from tests.loras import save_lora
from triptych.contract import STAGES

REQUEST: dict[str, Any] = {"scheduler": "ddim", "num_inference_steps": 2, "seed": 5, **SIZE}
DRAW = f"""
import sys
from pathlib import Path
import triptych
folder, cache, picture = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
with triptych.local(
    {{"sd1": folder / "checkpoint"}}, loras={{"ink": folder / "ink.safetensors"}}, run_dir=folder / "run",
    cache_dir=cache, placement=folder / "placement.toml", startup_timeout_s=900,
) as client:
    result = client.generate("a <lora:ink>", **{REQUEST})
    result.images[0].save(picture)
    try:
        client.register_checkpoint("none", folder / "none", load=True)
    except triptych.errors.TriptychError as error:
        assert str(folder / "none") in error.message, error.message
"""


def test_nothing_of_a_stack_is_open_to_other_users(served: Served) -> None:
    result = served.client.generate("a secret", checkpoint="sd1", num_inference_steps=2, **SIZE)
    assert result.images and served.stack.run_dir
    written = {path.name: path for path in served.stack.run_dir.iterdir()}
    assert {"state", "unet-0.log", "orchestrator.log"} <= written.keys()
    assert all(map(is_private, (*written.values(), served.stack.run_dir / "state/checkpoints.json")))
    for process in served.stack.processes():
        assert process.pid
        temporary = Path(environment_of(process.pid)["TMPDIR"])
        assert is_private(temporary) and served.stack.run_dir in temporary.parents
        if process.name.partition("-")[0] in STAGES:
            claimed = [path for path in temporary.iterdir() if path.is_symlink()]
            assert claimed and all(path.readlink() == Path("/tmp") / path.name for path in claimed)
            regions = regions_of(process.pid)
            assert regions and all(map(is_private, regions))


@pytest.mark.slow
def test_folders_may_have_any_name(served: Served, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    """Those of Python and its packages, a checkpoint, a LoRA, the run directory, the cache, a placement file."""
    folder, picture = tmp_path / "jürgen", tmp_path / "out.png"
    python = environment(folder)
    shutil.copytree(checkpoints["sd1"], folder / "checkpoint")
    lora = save_lora(folder / "ink.safetensors", checkpoints["sd1"])
    (folder / "placement.toml").write_text("[[replica]]\nstage = 'unet'\n")
    subprocess.run([python, "-c", DRAW, str(folder), str(folder / "cache"), str(picture)], check=True, timeout=280)
    served.client.add_lora("ink elsewhere", lora)
    expected = served.client.generate("a <lora:ink elsewhere>", checkpoint="sd1", **REQUEST).images[0]
    served.client.remove_lora("ink elsewhere")
    assert Image.open(picture).tobytes() == expected.tobytes()

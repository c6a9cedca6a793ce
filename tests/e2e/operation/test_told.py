"""What a server tells of its checkpoints: format, architecture, content, and which replicas hold their weights."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Any

from safetensors.numpy import load_file, save_file

from tests.conftest import Served
from tests.e2e.serving import SIZE, wait_for
from tests.single_files import save_pair
from triptych.sdk.catalog import Checkpoint

REQUEST: dict[str, Any] = {"prompt": "a star", "scheduler": "ddim", "num_inference_steps": 2, "seed": 1, **SIZE}


def known(served: Served, name: str) -> Checkpoint:
    info = served.client.server_info()
    assert info.checkpoints == served.client.checkpoints()
    return next(checkpoint for checkpoint in info.checkpoints if checkpoint.name == name)


def test_a_directory(served: Served, checkpoints: dict[str, Path]) -> None:
    folder = checkpoints["sd1"]
    one = served.client.register_checkpoint("told", folder, load=True, with_hash=True)
    try:
        assert (one.format, one.precision, one.architecture[:9]) == ("diffusers", "float32", "16-32/32 ")
        weights = sorted(str(path.relative_to(folder)) for path in folder.glob("*/*.safetensors"))
        listed = subprocess.run(["sha256sum", *weights], cwd=folder, capture_output=True, check=True).stdout
        assert one.sha256 == hashlib.sha256(listed).hexdigest()
        assert one.replicas == ["encoder-0", "unet-0", "vae-0"] == known(served, "told").replicas
        assert served.client.unload_checkpoint("told").replicas == []
        assert known(served, "told").sha256 == one.sha256
        assert f"Model hash: {one.sha256[:10]}, Model: told" in parameters(served, "told")
    finally:
        served.client.unregister_checkpoint("told")


def parameters(served: Served, name: str) -> str:
    return str(served.client.generate(**REQUEST, checkpoint=name).images[0].info["parameters"])


def test_a_picture_names_the_hash_of_its_file(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "ink.safetensors"
    save_file(load_file(save_pair(tmp_path, "sd1").file), file, {"modelspec.title": "Ink"})
    one = served.client.register_checkpoint("ink", file)
    try:
        assert (one.format, one.title, one.sha256) == ("single-file", "Ink", "")
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        assert f"Model hash: {digest[:10]}, Model: ink" in parameters(served, "ink")
        assert wait_for(lambda: known(served, "ink").sha256) == digest
        assert known(served, "ink").short_hash == digest[:10]
    finally:
        served.client.unregister_checkpoint("ink")

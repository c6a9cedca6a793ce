"""Checkpoints as torch pickled them, with what trainers leave in them: the same pictures; attacks harm nobody."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

import triptych
from tests.checkpoint.pickles.test_torch_files import JUNK
from tests.checkpoint.pickles.writing import as_legacy, as_zip, call, named, program, text
from tests.conftest import CACHE, Served
from tests.e2e.serving import SIZE, difference
from tests.session.graphs import fill_cache
from tests.single_files import save_pair
from triptych.errors import CheckpointInvalidError

REQUEST: dict[str, Any] = {"prompt": "a red star", "num_inference_steps": 3, "seed": 5, "scheduler": "ddim", **SIZE}


@contextmanager
def registered(client: triptych.Client, **paths: Path) -> Iterator[None]:
    """For the context, each under its name."""
    try:
        for name, path in paths.items():
            client.register_checkpoint(name, path, load=True)
        yield
    finally:
        for name in {checkpoint.name for checkpoint in client.checkpoints()} & paths.keys():
            client.unregister_checkpoint(name)


@pytest.mark.parametrize("is_zip", [True, False])
def test_a_ckpt_with_junk_draws_what_its_safetensors_draw(served: Served, tmp_path: Path, is_zip: bool) -> None:
    pair = save_pair(tmp_path, "sd1")
    fill_cache(CACHE, [pair.folder])
    file = pair.file
    pickled = tmp_path / "model.ckpt"
    value = JUNK | {"state_dict": safetensors.torch.load_file(file)}
    torch.save(value, pickled, _use_new_zipfile_serialization=is_zip)
    with registered(served.client, plain=file, pickled=pickled):
        ours, theirs = (served.client.generate(checkpoint=name, **REQUEST) for name in ("pickled", "plain"))
    assert difference(ours, theirs) == 0


def test_a_folder_with_bin_weights_draws_the_same(served: Served, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoints["sd1"], tmp_path / "bins"))
    for file in [*folder.glob("*/*.safetensors")]:
        name = "pytorch_model.bin" if file.parent.name == "text_encoder" else file.with_suffix(".bin").name
        torch.save(safetensors.torch.load_file(file), file.with_name(name))
        file.unlink()
    with registered(served.client, bins=folder):
        ours, theirs = (served.client.generate(checkpoint=name, **REQUEST) for name in ("bins", "sd1"))
    assert difference(ours, theirs) == 0


@pytest.mark.parametrize("write", [as_zip, as_legacy])
def test_an_attack_is_named_and_the_next_request_is_served(
    served: Served, tmp_path: Path, write: Callable[[Path, bytes], Path]
) -> None:
    canary = tmp_path / "canary"
    attack = call(named("posix", "system"), text(f"touch {canary}"))
    path = write(tmp_path / "model.ckpt", program(state_dict=attack))
    before = served.client.generate(checkpoint="sd1", **REQUEST)
    with pytest.raises(CheckpointInvalidError, match=r"asks for posix\.system") as caught:
        served.client.register_checkpoint("attack", path, load=True)
    assert caught.value.metadata["file"] == str(path) and not canary.exists()
    assert "attack" not in [checkpoint.name for checkpoint in served.client.checkpoints()]
    assert difference(served.client.generate(checkpoint="sd1", **REQUEST), before) == 0

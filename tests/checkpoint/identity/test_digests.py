"""The SHA-256 of files and folders, held against sha256sum, and what is kept of them in the cache."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.tiny import replace_weights, update
from triptych.checkpoint import Checkpoint
from triptych.checkpoint.identity import digests
from triptych.checkpoint.identity.digests import checkpoint_digests, file_digest, tensors_digest
from triptych.errors import CheckpointChangedError, CheckpointInvalidError

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TRIPTYCH_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "hashes"


@pytest.fixture
def copy(checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoints["sd1"], tmp_path / "copy"))


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of weights that are read whole."""
    names: list[str] = []
    whole = digests.open_file

    def noted(path: Path, root: Path | None = None) -> object:
        if path.suffix != ".json" and path.suffix != ".txt":
            names.append(path.name)
        return whole(path, root)

    monkeypatch.setattr(digests, "open_file", noted)
    return names


def of(folder: Path) -> str:
    return checkpoint_digests(Checkpoint.open(folder).source).weights


def test_a_folder_is_what_sha256sum_says_of_its_weights(copy: Path) -> None:
    weights = sorted(str(path.relative_to(copy)) for path in copy.glob("*/*.safetensors"))
    listed = subprocess.run(["sha256sum", *weights], cwd=copy, capture_output=True, check=True).stdout
    assert of(copy) == hashlib.sha256(listed).hexdigest()
    before = checkpoint_digests(Checkpoint.open(copy).source)
    update(copy / "unet" / "config.json", more=1)
    changed = checkpoint_digests(Checkpoint.open(copy).source)
    assert (changed.weights, changed.vae) == (before.weights, "") and changed.settings != before.settings
    (copy / "unet" / "diffusion_pytorch_model.bf16.safetensors").touch()
    assert of(copy) == hashlib.sha256(listed).hexdigest()


def test_of_files_that_were_exchanged_since_nothing_is_said(copy: Path) -> None:
    checkpoint = Checkpoint.open(copy)
    replace_weights(copy / UNET)
    with pytest.raises(CheckpointChangedError, match=UNET):
        checkpoint_digests(checkpoint.source)


def test_what_was_read_is_read_again_only_where_it_changed(copy: Path, read: list[str], cache: Path) -> None:
    first = of(copy)
    assert len(read) == 3 and len(list(cache.iterdir())) == 3
    assert of(copy) == first and len(read) == 3
    replace_weights(copy / UNET)
    assert of(copy) != first and read[3:] == ["diffusion_pytorch_model.safetensors"]
    os.utime(copy / UNET)
    of(copy)
    assert len(read) == 5 and len(list(cache.iterdir())) == 3


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b"\xff", b'{"state": {}, "sha256": 3}'])
def test_what_is_broken_in_the_cache_is_found_anew(tmp_path: Path, cache: Path, content: bytes) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"weights")
    expected = hashlib.sha256(b"weights").hexdigest()
    assert file_digest(file) == expected
    (kept,) = cache.iterdir()
    assert json.loads(kept.read_text())["path"] == str(file)
    kept.write_bytes(content)
    assert file_digest(file) == expected


def test_a_cache_that_cannot_be_written_costs_another_reading(tmp_path: Path, read: list[str]) -> None:
    (tmp_path / "cache").write_text("in the way")
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"weights")
    assert file_digest(file) == file_digest(file) == hashlib.sha256(b"weights").hexdigest()
    assert len(read) == 2


def test_a_file_that_is_written_to_meanwhile_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"weights")
    whole = digests._digest

    def slow(stream: object) -> str:
        file.write_bytes(b"others by now")
        return whole(stream)  # type: ignore[arg-type]

    monkeypatch.setattr(digests, "_digest", slow)
    with pytest.raises(CheckpointInvalidError, match="was changed while its SHA-256 was computed"):
        file_digest(file)
    with pytest.raises(CheckpointInvalidError, match=r"gone\.safetensors: No such file"):
        file_digest(tmp_path / "gone.safetensors")


def test_a_lora_is_known_by_its_tensors(tmp_path: Path) -> None:
    file = tmp_path / "lora.safetensors"
    header = b'{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]}}'
    for pad in (b"", b"   "):
        file.write_bytes(len(header + pad).to_bytes(8, "little") + header + pad + b"abc")
        assert tensors_digest(file) == hashlib.sha256(b"abc").hexdigest()

"""Which files of a checkpoint are opened: regular ones in its directory, or in the hub's cache that it lies in."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from triptych.checkpoint.configs import read_small
from triptych.checkpoint.opening import open_file
from triptych.errors import CheckpointInvalidError
from triptych_orchestrator.library.entry import Entry

FILES = [
    "model_index.json",
    "unet/config.json",
    "scheduler/scheduler_config.json",
    "tokenizer/vocab.json",
    "tokenizer/merges.txt",
    "text_encoder/model.safetensors",
]
# Opening the first two has no effect, reading them never ends; the third is a regular file of a kernel's making.
ENDLESS = ["/dev/kmsg", "/dev/tty", "/proc/kmsg"]


def opens(directory: Path) -> None:
    Entry("x", directory, "").open()


@pytest.fixture
def copy(checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoints["sd1"], tmp_path / "checkpoint"))


def moved(file: Path, target: Path) -> None:
    """Puts the file to `target`, and a link to it in its place."""
    target.parent.mkdir(parents=True, exist_ok=True)
    file.rename(target)
    file.symlink_to(os.path.relpath(target, file.parent))


@pytest.mark.parametrize("file", FILES)
def test_a_link_out_of_the_directory_is_refused(copy: Path, tmp_path: Path, file: str) -> None:
    moved(copy / file, tmp_path / "elsewhere" / "file")
    with pytest.raises(CheckpointInvalidError, match="a link leads out of") as caught:
        opens(copy)
    assert caught.value.metadata["file"] == str(copy / file) and "elsewhere" not in caught.value.message


@pytest.mark.parametrize("target", ENDLESS)
@pytest.mark.parametrize("file", ["unet/config.json", "unet/diffusion_pytorch_model.safetensors"])
def test_a_link_to_what_never_ends_is_refused_at_once(copy: Path, target: str, file: str) -> None:
    if not Path(target).exists():
        pytest.skip(f"there is no {target} here")
    (copy / file).unlink()
    (copy / file).symlink_to(target)
    for _ in range(40):
        with pytest.raises(CheckpointInvalidError):
            opens(copy)


def test_no_more_is_read_than_a_file_claims_to_have() -> None:
    assert Path("/proc/self/status").read_bytes()
    assert read_small(Path("/proc/self/status")) == b""


def test_a_folder_that_is_a_link_out_of_the_directory_is_refused(copy: Path, tmp_path: Path) -> None:
    moved(copy / "unet", tmp_path / "elsewhere" / "unet")
    with pytest.raises(CheckpointInvalidError, match="a link leads out of"):
        opens(copy)


def test_links_inside_of_the_directory_are_followed(copy: Path) -> None:
    moved(copy / "unet", copy / "parts" / "unet")
    moved(copy / "tokenizer" / "vocab.json", copy / "parts" / "vocab.json")
    opens(copy)


def test_the_directory_may_be_a_link_itself(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(copy)
    opens(tmp_path / "link")
    moved(copy / "unet" / "config.json", tmp_path / "elsewhere.json")
    with pytest.raises(CheckpointInvalidError, match="a link leads out of"):
        opens(tmp_path / "link")


@pytest.fixture
def hub_cache(copy: Path, tmp_path: Path) -> Path:
    """The checkpoint as a model hub's client keeps it; a revision of models--me--tiny."""
    model = tmp_path / "hub" / "models--me--tiny"
    snapshot = model / "snapshots" / "0123abcd"
    snapshot.parent.mkdir(parents=True)
    copy.rename(snapshot)
    for number, file in enumerate(sorted(path for path in snapshot.rglob("*") if path.is_file())):
        moved(file, model / "blobs" / f"{number:040x}")
    return snapshot


def test_a_hubs_cache_links_to_its_blobs(hub_cache: Path) -> None:
    opens(hub_cache)


@pytest.mark.parametrize("outside", ["hub/models--me--other/blobs/0", "hub/models--me--tiny/refs/main", "blobs/0"])
def test_a_hubs_cache_links_to_nothing_else(hub_cache: Path, tmp_path: Path, outside: str) -> None:
    file = hub_cache / "unet" / "config.json"
    blob = file.resolve()
    file.unlink()
    blob.rename(file)
    moved(file, tmp_path / outside)
    with pytest.raises(CheckpointInvalidError, match="a link leads out of"):
        opens(hub_cache)


def test_what_is_opened_is_what_was_looked_at(tmp_path: Path) -> None:
    """A pipe put in a file's place is not waited for, and the file is read though its name is gone."""
    file = tmp_path / "file"
    file.write_text("x")
    with open_file(file, tmp_path) as stream:
        file.unlink()
        os.mkfifo(file)
        assert stream.read() == b"x"
    with pytest.raises(CheckpointInvalidError, match="not a regular file"):
        open_file(file, tmp_path)

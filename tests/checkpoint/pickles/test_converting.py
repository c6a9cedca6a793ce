"""What is converted is converted once, and whole or not at all, whoever else does so, whatever the disk does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch

from tests.checkpoint.pickles.writing import NUMBERS, SOUND, as_zip, program, storage, tensor
from triptych.cache_folders import MANIFEST_FILE
from triptych.checkpoint import Checkpoint
from triptych.checkpoint.pickles import as_safetensors, converting, writing
from triptych.checkpoint.reading import open_in_time
from triptych.checkpoint.safetensors import map_tensor, read_header
from triptych.errors import CheckpointInvalidError, FailedPreconditionError, ResourceExhaustedError, TriptychError

# To the process, the disk is full after a megabyte of a file.
FULL = (
    "import resource, signal\nsignal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
    "resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))"
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return as_zip(tmp_path / "model.ckpt", program(**SOUND), {"0": NUMBERS})


def test_it_is_converted_once(path: Path, tmp_path: Path) -> None:
    made = as_safetensors(path, tmp_path / "cache")
    inode = made.stat().st_ino
    assert as_safetensors(path, tmp_path / "cache") == made
    link = tmp_path / "link.ckpt"
    link.symlink_to(path)
    assert as_safetensors(link, tmp_path / "cache") == made
    assert made.stat().st_ino == inode and made.is_relative_to(tmp_path / "cache")
    assert json.loads((made.parent / MANIFEST_FILE).read_text())["source"] == "model.ckpt"


def test_another_content_is_another_file(path: Path, tmp_path: Path) -> None:
    before = as_safetensors(path, tmp_path / "cache")
    os.utime(path, ns=(0, 1))
    touched = as_safetensors(path, tmp_path / "cache")
    torch.save({"b": torch.ones(2)}, path)
    after = as_safetensors(path, tmp_path / "cache")
    assert len({before, touched, after}) == 3
    assert [*read_header(before)] == ["a"] and [*read_header(after)] == ["b"]


def test_what_was_damaged_in_the_cache_is_made_again(path: Path, tmp_path: Path) -> None:
    made = as_safetensors(path, tmp_path / "cache")
    made.write_bytes(made.read_bytes()[:-1])
    assert as_safetensors(path, tmp_path / "cache") == made
    assert np.array_equal(map_tensor(read_header(made)["a"], {}), [1, 2, 3, 4])


def test_many_at_once_make_it_once(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = []
    publish = converting._publish
    monkeypatch.setattr(converting, "_publish", lambda *given: (times.append(1), publish(*given)))
    with ThreadPoolExecutor(8) as pool:
        made = {*pool.map(lambda _: as_safetensors(path, tmp_path / "cache"), range(32))}
    assert len(made) == 1 and len(times) == 1


def test_whoever_waits_waits_for_as_long_as_the_other_gets_on(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another path of the content, as in another process: what the maker notes in this one says nothing of it."""
    write, cache, begun = converting.write_safetensors, tmp_path / "cache", threading.Event()

    def slowly(*given: Any) -> None:
        for _ in range(30):
            given[-1]()
            begun.set()
            time.sleep(0.1)
        write(*given)

    monkeypatch.setattr(converting, "write_safetensors", slowly)
    monkeypatch.setattr(Checkpoint, "open", lambda path, *_: as_safetensors(path, cache))
    link = tmp_path / "link.ckpt"
    link.symlink_to(path)
    with ThreadPoolExecutor() as pool:
        made = pool.submit(as_safetensors, path, cache)
        assert begun.wait(30)
        assert cast(Any, open_in_time(link, timeout_s=1)) == made.result()


def test_what_is_written_goes_to_the_disk_as_it_comes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the end takes as long as the disk takes for all, and nothing is told of it."""
    told, flushed, flush = [], [], os.fdatasync

    def fdatasync(descriptor: int) -> None:
        flushed.append((os.lseek(descriptor, 0, os.SEEK_CUR), len(told)))
        flush(descriptor)

    monkeypatch.setattr(os, "fdatasync", fdatasync)
    monkeypatch.setattr(writing, "_SENT_BYTES", 4096)
    monkeypatch.setattr(writing, "_CHUNK_ELEMENTS", 1024)
    torch.save({"a": torch.zeros(5000), "b": torch.zeros(5000, 2).T, "c": torch.zeros(64)}, tmp_path / "x.ckpt")
    monkeypatch.setattr(converting, "advancing", lambda path: nullcontext(lambda: told.append(path)))
    as_safetensors(tmp_path / "x.ckpt", tmp_path / "cache")
    assert len(flushed) > 10
    for (before, told_before), (at, told_by_then) in pairwise(flushed):
        assert at - before <= 3 * 4096 + 8192 and told_by_then > told_before


def failure(path: Path, cache: Path, before: str = "") -> TriptychError:
    """The error in a process of its own, of which `before` takes something away."""
    code = (
        f"{before}\nimport json\nfrom pathlib import Path\nfrom triptych.checkpoint.pickles import as_safetensors\n"
        f"from triptych.errors import TriptychError\n"
        f"try: as_safetensors(Path({str(path)!r}), Path({str(cache)!r}))\n"
        "except TriptychError as error: print(json.dumps([type(error).__name__, error.message]))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr[-2000:]
    kind, message = json.loads(run.stdout)
    kinds = (CheckpointInvalidError, FailedPreconditionError, ResourceExhaustedError)
    return {each.__name__: each for each in kinds}[kind](message)


def test_a_full_disk_is_named_and_nothing_is_left(tmp_path: Path) -> None:
    path, cache = tmp_path / "model.ckpt", tmp_path / "cache"
    torch.save({"a": torch.zeros(1 << 20)}, path)
    error = failure(path, cache, FULL)
    assert isinstance(error, ResourceExhaustedError) and str(cache) in error.message and str(path) in error.message
    assert {left.suffix for left in cache.rglob("*") if left.is_file()} == {".lock"}
    assert [*read_header(as_safetensors(path, cache))] == ["a"]


def test_a_packed_file_finds_the_disk_full(tmp_path: Path) -> None:
    path, cache, content = tmp_path / "model.ckpt", tmp_path / "cache", os.urandom(1 << 20) * 2
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", program(a=tensor(storage(count=len(content) // 4))))
        archive.writestr("a/data/0", content)
    assert isinstance(failure(path, cache, FULL), ResourceExhaustedError)
    assert {left.suffix for left in cache.rglob("*") if left.is_file()} == {".lock"}


def test_a_cache_that_cannot_be_made_is_named(path: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(FailedPreconditionError, match="cache_dir"):
        as_safetensors(path, tmp_path / "file" / "cache")


@pytest.mark.skipif(not Path("/sys/kernel").is_dir(), reason="no folder that nobody can write to")
def test_a_read_only_cache_is_named(path: Path) -> None:
    with pytest.raises(FailedPreconditionError, match="cache_dir: /sys/kernel"):
        as_safetensors(path, Path("/sys/kernel"))


def test_a_file_that_is_written_to_meanwhile(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = converting.write_safetensors

    def slowly(*given: object) -> None:
        write(*given)  # type: ignore[arg-type]
        os.utime(path, ns=(0, 1))

    monkeypatch.setattr(converting, "write_safetensors", slowly)
    with pytest.raises(CheckpointInvalidError, match="written to while it was read"):
        as_safetensors(path, tmp_path / "cache")
    assert not [*(tmp_path / "cache").rglob("*.safetensors")]


def test_a_maker_that_was_killed_leaves_no_obstacle(path: Path, tmp_path: Path) -> None:
    code = (
        "import os\nfrom pathlib import Path\nfrom triptych.checkpoint.pickles import converting\n"
        "converting.write_safetensors = lambda *given: (given[-2].write_bytes(b'half'), os.kill(os.getpid(), 9))\n"
        f"converting.as_safetensors(Path({str(path)!r}), Path({str(tmp_path / 'cache')!r}))"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    assert [*(tmp_path / "cache").rglob("*.building-*")]
    made = as_safetensors(path, tmp_path / "cache")
    assert [*read_header(made)] == ["a"] and not [*(tmp_path / "cache").rglob("*.building-*")]


def test_what_is_no_file_of_torch(tmp_path: Path) -> None:
    for content in (b"<!DOCTYPE html><html>", b"", b"hello, world"):  # for whoever reads safetensors to say
        (tmp_path / "other").write_bytes(content)
        assert as_safetensors(tmp_path / "other", tmp_path / "cache") == tmp_path / "other"
    contents = {
        "zip": (b"PK\3\4" + b"\0" * 100, "download it again"),
        "pickle": (b"\x80\x04K\1.", "none that torch wrote"),
    }
    for name, (content, said) in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointInvalidError, match=said):
            as_safetensors(tmp_path / name, tmp_path / "cache")
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path, tmp_path / "nothing", Path("/dev/zero")):
        with pytest.raises(CheckpointInvalidError):
            as_safetensors(path, tmp_path / "cache")

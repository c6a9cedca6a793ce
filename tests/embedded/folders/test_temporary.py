from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.embedded.conftest import is_private
from triptych.embedded.folders.shm import FOLDER
from triptych.embedded.folders.temporary import TemporaryFolder, private_temporary_files

KILLED = """
import os, signal, sys
from pathlib import Path
from triptych.embedded.folders.temporary import TemporaryFolder
folder = TemporaryFolder(Path(sys.argv[1]))
(folder.path / "file").touch()
print(folder.path, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def killed(root: Path) -> Path:
    """The folder of a process that was killed."""
    program = subprocess.run([sys.executable, "-c", KILLED, str(root)], stdout=subprocess.PIPE, text=True, timeout=60)
    return Path(program.stdout.strip())


def test_it_is_private_and_goes_with_its_owner(tmp_path: Path) -> None:
    with TemporaryFolder(tmp_path / "made") as folder:
        assert folder.path.parent == tmp_path / "made"
        assert is_private(folder.path)
        (folder.path / "file").touch()
    assert list((tmp_path / "made").iterdir()) == []


@pytest.mark.parametrize("temporary", ["ascii", "jürgen"])
def test_its_name_is_ascii(temporary: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / temporary).mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / temporary))
    with TemporaryFolder(tmp_path / "jürgen") as folder:
        assert folder.path.parent == (tmp_path / temporary if temporary == "ascii" else Path("/tmp"))


def test_what_a_killed_owner_left_goes_when_the_next_is_made(tmp_path: Path) -> None:
    left = killed(tmp_path)
    assert left.exists()
    region = FOLDER / f"{left.name}-unet-0-left"
    region.touch()
    with TemporaryFolder(tmp_path) as folder, TemporaryFolder(tmp_path) as other:
        assert not left.exists() and not region.exists()
        assert folder.path.exists() and other.path.exists()


def test_what_is_kept_goes_when_the_next_is_made(tmp_path: Path) -> None:
    folder = TemporaryFolder(tmp_path)
    folder.close(keep=True)
    assert folder.path.exists()
    with TemporaryFolder(tmp_path):
        assert not folder.path.exists()


@pytest.mark.parametrize("before", ["", "/var/tmp"])
def test_what_a_process_starts_has_private_temporary_files(before: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TMPDIR", raising=False)
    if before:
        monkeypatch.setenv("TMPDIR", before)
    with private_temporary_files():
        folder = Path(subprocess.check_output(["sh", "-c", "printf $TMPDIR"], text=True))
        assert is_private(folder) and folder != Path(before)
    assert os.environ.get("TMPDIR", "") == before and not folder.exists()


def test_what_others_put_there_stays(tmp_path: Path) -> None:
    for name in ("triptych-tmp-mine", "triptych-mine", "other"):
        (tmp_path / name).mkdir()
    with TemporaryFolder(tmp_path):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {"triptych-tmp-mine", "triptych-mine", "other"}


def test_tritons_folders_go_with_it_and_nothing_else_that_is_linked(tmp_path: Path) -> None:
    tritons, other = Path(tempfile.mkdtemp(prefix="folder", dir="/tmp")), tmp_path / "folder-of-somebody"
    other.mkdir()
    with TemporaryFolder(tmp_path) as folder:
        for target in (tritons, other):
            (folder.path / target.name).symlink_to(target)
    assert not tritons.exists() and other.exists()

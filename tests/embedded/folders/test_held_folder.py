from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from triptych.embedded.folders.held_folder import HeldFolder
from triptych.errors import FailedPreconditionError

KILLED = """
import os, sys
from pathlib import Path
from triptych.embedded.folders.held_folder import HeldFolder
held = HeldFolder("run_dir", Path(sys.argv[1]), "go away")
os.kill(os.getpid(), 9)
"""


def test_one_at_a_time(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "state"
    held = HeldFolder("run_dir", folder, "go away")
    assert folder.stat().st_mode & 0o777 == 0o700
    problem = rf"^run_dir: another stack runs in {folder} \(process {os.getpid()}\); stop it, or go away$"
    with pytest.raises(FailedPreconditionError, match=problem) as caught:
        HeldFolder("run_dir", folder, "go away")
    assert caught.value.metadata["field"] == "run_dir"
    HeldFolder("lora_dir", folder, "go away").close()
    held.close()
    again = HeldFolder("run_dir", folder, "go away")
    assert not again.was_abandoned
    again.close()


def test_whoever_is_killed_lets_go_and_leaves_a_note(tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False, timeout=60)
    for was_abandoned in (True, False):
        held = HeldFolder("run_dir", tmp_path, "go away")
        assert held.was_abandoned is was_abandoned
        held.close()


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(FailedPreconditionError, match=f"^lora_dir: {path} cannot be used: .*; go away$"):
            HeldFolder("lora_dir", path, "go away")

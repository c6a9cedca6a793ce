from __future__ import annotations

from pathlib import Path

import pytest

from triptych.contract.state import CHECKPOINTS_FILE, keeps_checkpoints


def test_without_a_folder_nothing_is_kept(tmp_path: Path) -> None:
    assert not keeps_checkpoints(tmp_path / "state")


@pytest.mark.parametrize(
    ("content", "kept"), [('{"x": {"path": "/x"}}', True), ("{}", False), ("", False), ("[" * 100_000, False)]
)
def test_what_a_file_says(content: str, kept: bool, tmp_path: Path) -> None:
    (tmp_path / CHECKPOINTS_FILE).write_text(content)
    assert keeps_checkpoints(tmp_path) is kept

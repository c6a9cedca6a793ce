from __future__ import annotations

import io
from pathlib import Path

import pytest

from triptych.cli.main import main
from triptych.keys import KeyFile


def test_keys_are_added_listed_and_removed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "credentials"
    monkeypatch.setenv("TRIPTYCH_CREDENTIALS", str(path))
    assert main(["keys"]) == 0
    assert "nobody" in capsys.readouterr().out
    assert main(["keys", "add", "ann"]) == 0
    name, _, secret = capsys.readouterr().out.strip().partition(".")
    assert name == "ann" and KeyFile(path).entries()["ann"].matches(secret)
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    assert main(["keys", "add", "bob", "--password"]) == 0
    assert KeyFile(path).entries()["bob"].matches("correct horse")
    capsys.readouterr()
    assert main(["keys", "list"]) == 0
    assert capsys.readouterr().out.split() == ["ann", "bob"]
    assert main(["keys", "remove", "ann"]) == 0
    assert main(["keys", "--file", str(path), "remove", "ann"]) == 3
    assert main(["keys", "add", "a.b", "--file", str(path)]) == 2

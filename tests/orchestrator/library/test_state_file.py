"""A state file that is broken in any way costs what it said, and nothing else: not the start, not the file itself."""

from __future__ import annotations

import errno
import json
import logging
import os
from pathlib import Path
from typing import Any

import pytest

from triptych.errors import FailedPreconditionError
from triptych_orchestrator.library import state_file
from triptych_orchestrator.library.state_file import StateFile


def is_sound(name: str, value: Any) -> bool:
    return name.isascii() and isinstance(value, int)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "things.json"


@pytest.fixture
def file(path: Path) -> StateFile:
    path.parent.mkdir()
    return StateFile(path, is_sound)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    file = StateFile(tmp_path / "new" / "things.json", is_sound)
    assert file.read() == {} and not file.was_set_aside()
    file.write({"a": 1, "b": 2})
    assert file.read() == {"a": 1, "b": 2}
    file.write({})
    assert file.read() == {} and not file.was_set_aside()


BROKEN = {
    "empty": b"",
    "half": b'{"a": 1',
    "nested": b"[" * 100_000,
    "nested object": b'{"a":' * 100_000,
    "no text": b"\xff\xfe\xfd",
    "a long number": b'{"a": %s}' % (b"9" * 10_000),
    "a list": b"[1]",
    "a text": b'"a"',
    "null": b"null",
    "half a character": rb'{"\ud800": 1}',
    "another type": b'{"a": "1"}',
    "a list for a value": b'{"a": [[[]]]}',
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_is_broken_is_set_aside(file: StateFile, path: Path, caplog: pytest.LogCaptureFixture, case: str) -> None:
    path.write_bytes(BROKEN[case])
    with caplog.at_level(logging.ERROR):
        assert file.read() == {}
    aside = path.with_name("things.json.broken-1")
    assert aside.read_bytes() == BROKEN[case] and not path.exists() and file.was_set_aside()
    (record,) = caplog.records
    assert record.moved_to == str(aside) and record.problem  # type: ignore[attr-defined]
    json.dumps(vars(record), default=str, ensure_ascii=False).encode()
    assert file.read() == {}
    file.write({"a": 1})
    path.write_bytes(b"once more")
    assert file.read() == {}
    assert path.with_name("things.json.broken-2").read_bytes() == b"once more"
    assert aside.read_bytes() == BROKEN[case]


def test_the_sound_entries_stay(file: StateFile, path: Path) -> None:
    path.write_text('{"a": 1, "b": "two", "\\ud800": 3, "d": 4}')
    assert file.read() == {"a": 1, "d": 4} and file.was_set_aside()
    # Also where the server dies before it writes anything.
    assert json.loads(path.read_text()) == {"a": 1, "d": 4}


def test_what_is_no_file_or_huge(file: StateFile, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path / "inside").mkdir(parents=True)
    assert file.read() == {}
    assert (path.with_name("things.json.broken-1") / "inside").is_dir()
    monkeypatch.setattr(state_file, "_LIMIT_BYTES", 10)
    path.write_text('{"a": 1, "b": 2}')
    assert file.read() == {}
    assert path.with_name("things.json.broken-2").is_file()


def test_what_cannot_be_written_stays_as_it_was(file: StateFile, path: Path) -> None:
    file.write({"a": 1})
    path.with_suffix(".new").mkdir()
    with pytest.raises(
        FailedPreconditionError, match=r"the server's things\.json cannot be kept in .*state: Is a directory"
    ):
        file.write({"a": 2})
    assert file.read() == {"a": 1}


def test_what_cannot_be_read_is_left_to_the_operator(
    file: StateFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write({"a": 1})

    def refuse(_: Path) -> bytes:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(FailedPreconditionError, match=r"things\.json cannot be read \(Permission denied\); mend it"):
        file.read()
    assert path.exists()

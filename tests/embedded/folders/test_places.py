from __future__ import annotations

import pwd
from pathlib import Path

import pytest

from triptych.cache_folders import NO_HOME, cache_folder
from triptych.embedded.folders.places import absolute, state_folder, usable
from triptych.errors import FailedPreconditionError, InvalidArgumentError

VARIABLES = ("HOME", "XDG_STATE_HOME", "TRIPTYCH_CACHE_DIR")


@pytest.mark.parametrize(
    ("variables", "state", "cache"),
    [
        ({"HOME": "/h"}, "/h/.local/state/triptych", "/h/.cache/triptych"),
        ({"HOME": "/h", "XDG_STATE_HOME": "/s", "TRIPTYCH_CACHE_DIR": "/c"}, "/s/triptych", "/c"),
        (
            {"HOME": "/h", "XDG_STATE_HOME": "", "TRIPTYCH_CACHE_DIR": ""},
            "/h/.local/state/triptych",
            "/h/.cache/triptych",
        ),
        ({"HOME": "/h", "XDG_STATE_HOME": "not/absolute"}, "/h/.local/state/triptych", "/h/.cache/triptych"),
        ({}, f"{NO_HOME}/.local/state/triptych", f"{NO_HOME}/.cache/triptych"),
    ],
)
def test_where_files_lie(variables: dict[str, str], state: str, cache: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody(uid: int) -> pwd.struct_passwd:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert (state_folder(), cache_folder()) == (Path(state), Path(cache))


def test_a_path_that_cannot_be_made_absolute_names_its_field(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^run_dir: ~no-such-user/x: "):
        absolute("run_dir", "~no-such-user/x")
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert absolute("run_dir", tmp_path) == tmp_path
    with pytest.raises(InvalidArgumentError, match=r"^run_dir: here: .*No such file or directory"):
        absolute("run_dir", "here")


def test_a_place_that_is_not_there_names_its_field_and_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(
            FailedPreconditionError, match=r"^lora_dir: .*/x cannot be used: Not a directory; move it$"
        ) as caught,
        usable("lora_dir", tmp_path / "file" / "x", "move it"),
    ):
        (tmp_path / "file" / "x").mkdir()
    assert caught.value.metadata == {"field": "lora_dir"}

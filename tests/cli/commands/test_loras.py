from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Triptych
from tests.sdk.fake_server import FakeServer


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "ink.safetensors"
    path.write_bytes(b"x" * 2_500_000)
    return str(path)


def test_a_lora_comes_and_goes(triptych: Triptych, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    for argv, said in (
        (["loras"], "no LoRAs; add one: triptych loras add NAME FILE"),
        (["loras", "add", "ink", file], "ink: added, 192 modules of rank 16 (LoRA)"),
        (["loras", "remove", "ink"], "ink: removed"),
        (["loras", "list"], "no LoRAs; add one: triptych loras add NAME FILE"),
    ):
        assert triptych(*argv) == 0
        assert capsys.readouterr().out == f"{said}\n"


def test_table_and_json(triptych: Triptych, server: FakeServer, file: str, capsys: pytest.CaptureFixture[str]) -> None:
    triptych("loras", "add", "ink (a longer name)", file)
    capsys.readouterr()
    assert triptych("loras", "list") == 0
    head, row = capsys.readouterr().out.splitlines()
    digest = server.loras["ink (a longer name)"].digest
    assert head.split() == ["NAME", "FORMAT", "ALGORITHM", "RANK", "MODULES", "SIZE", "DIGEST"]
    assert row.split()[-7:] == ["kohya", "LoRA", "16", "192", "2.5", "MB", digest[:12]]
    assert head.index("FORMAT") == row.index("kohya")
    assert triptych("loras", "list", "--json") == 0
    (lora,) = json.loads(capsys.readouterr().out)
    assert (lora["name"], lora["digest"], lora["size_bytes"]) == ("ink (a longer name)", digest, 2_500_000)


def test_a_former_version_is_shown_by_a_short_digest(
    triptych: Triptych, server: FakeServer, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert triptych("loras", "add", "--replace", "ink", file) == 0 and server.replace
    server.loras["ink"].name = f"ink@{'3f2a90c1' * 8}"
    capsys.readouterr()
    assert triptych("loras", "list") == 0
    assert capsys.readouterr().out.splitlines()[1].split()[0] == "ink@3f2a90c13f2a"


def test_what_is_wrong_with_one_stands_below_it(
    triptych: Triptych, server: FakeServer, file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ink", "wash"):
        triptych("loras", "add", name, file)
    server.loras["ink"].error = "its file is gone"
    capsys.readouterr()
    assert triptych("loras", "list") == 0
    _, ink, problem, wash = capsys.readouterr().out.splitlines()
    assert (ink.split()[0], problem, wash.split()[0]) == ("ink", "  its file is gone", "wash")


def test_exit_codes(triptych: Triptych, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert triptych("loras", "remove", "nothing") == 3
    assert triptych("loras", "add", "ink", str(tmp_path / "nothing")) == 2
    assert "cannot be read" in capsys.readouterr().err

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Triptych

PATH = "/models/control_v11p_sd15_canny.pth"
NONE = "no ControlNets; add one: triptych controlnets add NAME PATH"


def test_one_comes_and_goes_and_is_apart_from_checkpoints(
    triptych: Triptych, capsys: pytest.CaptureFixture[str]
) -> None:
    assert triptych("checkpoints", "add", "sd15", "/models/sd15.safetensors") == 0
    capsys.readouterr()
    added = "added, 320-640/768 9c1f3b2a, 3,400 MB of float16"
    for argv, said in (
        (["controlnets"], NONE),
        (["controlnets", "add", "canny", PATH], f"canny: {added}"),
        (["controlnets", "remove", "canny"], "canny: removed"),
        (["controlnets", "add", PATH], f"control_v11p_sd15_canny: {added}"),
    ):
        assert triptych(*argv) == 0
        assert capsys.readouterr().out == f"{said}\n"


def test_table_and_json(triptych: Triptych, capsys: pytest.CaptureFixture[str]) -> None:
    triptych("controlnets", "add", "canny (a longer name)", PATH)
    capsys.readouterr()
    assert triptych("controlnets", "list") == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["NAME", "FORMAT", "ARCHITECTURE", "PRECISION", "WEIGHTS", "PATH"]
    assert row.split()[-1] == PATH and head.index("FORMAT") == row.index("single-file")
    assert triptych("controlnets", "list", "--json") == 0
    (net,) = json.loads(capsys.readouterr().out)
    assert (net["name"], net["path"], net["purpose"]) == ("canny (a longer name)", PATH, "controlling")


def test_a_checkpoint_is_not_removed_by_it(triptych: Triptych, capsys: pytest.CaptureFixture[str]) -> None:
    triptych("checkpoints", "add", "sd15", "/models/sd15.safetensors")
    capsys.readouterr()
    assert triptych("controlnets", "remove", "sd15") != 0
    assert "'sd15' is no ControlNet here; there are: none" in capsys.readouterr().err
    triptych("checkpoints", "list")
    assert "sd15" in capsys.readouterr().out

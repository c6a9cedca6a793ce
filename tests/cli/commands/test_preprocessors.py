from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Triptych

PATH = "/models/depth_anything_v2_vits.onnx"


def test_one_comes_and_goes(triptych: Triptych, capsys: pytest.CaptureFixture[str]) -> None:
    for argv, said in (
        (["preprocessors"], "no networks; add one: triptych preprocessors add NAME FILE"),
        (["preprocessors", "add", "depth_anything_v2", PATH], "depth_anything_v2: added, "),
        (["preprocessors", "remove", "depth_anything_v2"], "depth_anything_v2: removed"),
    ):
        assert triptych(*argv) == 0
        assert capsys.readouterr().out.startswith(said)


def test_table_and_json(triptych: Triptych, capsys: pytest.CaptureFixture[str]) -> None:
    triptych("preprocessors", "add", "depth_anything_v2", PATH)
    triptych("checkpoints", "add", "sd15", "/models/sd15.safetensors")
    capsys.readouterr()
    assert triptych("preprocessors", "list") == 0
    head, row = capsys.readouterr().out.splitlines()
    assert head.split() == ["NAME", "ARCHITECTURE", "PRECISION", "WEIGHTS", "PATH"] and row.split()[-1] == PATH
    assert triptych("preprocessors", "list", "--json") == 0
    (network,) = json.loads(capsys.readouterr().out)
    assert (network["name"], network["purpose"]) == ("depth_anything_v2", "preparing")


def test_a_checkpoint_is_not_removed_by_it(triptych: Triptych, capsys: pytest.CaptureFixture[str]) -> None:
    triptych("checkpoints", "add", "sd15", "/models/sd15.safetensors")
    capsys.readouterr()
    assert triptych("preprocessors", "remove", "sd15") != 0
    assert "'sd15' is no network here; there are: none" in capsys.readouterr().err

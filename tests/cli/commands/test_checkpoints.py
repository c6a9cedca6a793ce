from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Triptych
from tests.sdk.fake_server import SHA256, FakeServer
from triptych.cli.main import main
from triptych.v1 import checkpoints_pb2

FOUND = (
    "  stable-diffusion, single-file, 512x512, 3,400 MB of float16, prediction type epsilon (its kind)\n"
    f"  320-640/768 9c1f3b2a\n  title Ink, at night\n  trigger words ink, night\n  sha256 {SHA256}, short 6ce0161689"
)


def test_a_file_is_added_under_its_own_name(
    triptych: Triptych, server: FakeServer, capsys: pytest.CaptureFixture[str]
) -> None:
    path = "/models/v2-1_768.safetensors"
    assert triptych("checkpoints", "add", path, "--prediction-type", "v_prediction") == 0
    added, found, *_ = capsys.readouterr().out.splitlines()
    assert added == "v2-1_768: registered" and found.endswith("prediction type v_prediction (its registration)")
    assert server.known["v2-1_768"].path == path


def test_a_checkpoint_comes_and_goes(triptych: Triptych, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(tmp_path)
    for argv, said in (
        (["checkpoints"], "no checkpoints; add one: triptych checkpoints add PATH"),
        (["checkpoints", "add", "tiny", path, "--engine", "torch"], f"tiny: registered\n{FOUND}"),
        (["checkpoints", "load", "tiny"], "tiny: loaded"),
        (["checkpoints", "unload", "tiny"], "tiny: registered"),
        (["checkpoints", "remove", "tiny"], "tiny: removed"),
        (["checkpoints", "add", "tiny", path, "--load"], f"tiny: loaded\n{FOUND}"),
    ):
        assert triptych(*argv) == 0
        assert capsys.readouterr().out == f"{said}\n"


def test_table(triptych: Triptych, server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    triptych("checkpoints", "add", "tiny", "/there", "--load")
    broken = checkpoints_pb2.Checkpoint(
        name="a-longer-name", state=checkpoints_pb2.CHECKPOINT_STATE_FAILED, error="no such file"
    )
    server.known["broken"] = broken
    capsys.readouterr()
    assert triptych("checkpoints", "list") == 0
    head, tiny, second, reason = capsys.readouterr().out.splitlines()
    columns = "NAME STATE ENGINE FAMILY FORMAT ARCHITECTURE SCHEDULER SIZE WEIGHTS ON PATH"
    assert head.split() == columns.split()
    row = "tiny loaded onnxruntime stable-diffusion single-file 320-640/768 9c1f3b2a 512x512 3,400 MB"
    assert tiny.split() == [*row.split(), "encoder-0,unet-0,vae-0", "/there"]
    assert head.index("STATE") == tiny.index("loaded") == second.index("failed")
    assert reason == "  no such file"


def test_warnings_are_shown(triptych: Triptych, server: FakeServer, capsys: pytest.CaptureFixture[str]) -> None:
    server.known["odd"] = checkpoints_pb2.Checkpoint(name="odd", warnings=["name a scheduler"])
    assert triptych("checkpoints", "list") == 0
    _, row, warning = capsys.readouterr().out.splitlines()
    assert row.split()[-4:] == ["-", "0", "MB", "-"] and warning == "  name a scheduler"
    assert triptych("checkpoints", "load", "odd") == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("odd: loaded\n", "triptych: warning: name a scheduler\n")


def test_json(triptych: Triptych, capsys: pytest.CaptureFixture[str]) -> None:
    triptych("checkpoints", "add", "tiny", "/there")
    capsys.readouterr()
    assert triptych("checkpoints", "list", "--json") == 0
    (checkpoint,) = json.loads(capsys.readouterr().out)
    assert (checkpoint["name"], checkpoint["state"], checkpoint["default_width"]) == ("tiny", "registered", 512)


def test_an_unknown_name_is_3(triptych: Triptych, capsys: pytest.CaptureFixture[str]) -> None:
    assert triptych("checkpoints", "load", "nothing") == 3
    assert capsys.readouterr().err == "triptych: no checkpoint 'nothing'; there are: \n"


def test_the_address_may_stand_on_either_side_of_the_action(server: FakeServer, nowhere: str) -> None:
    assert main(["checkpoints", "--address", server.address, "list"]) == 0
    assert main(["checkpoints", "list", "--address", server.address]) == 0
    assert main(["checkpoints", "--address", nowhere, "list", "--address", server.address]) == 0

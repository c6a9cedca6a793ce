"""What an operator gives: all limits that are accepted can be told to clients, and nothing is given for nobody."""

from __future__ import annotations

from dataclasses import fields

import pytest

from triptych.errors import InvalidArgumentError
from triptych.v1 import system_pb2
from triptych_orchestrator.__main__ import parse
from triptych_orchestrator.settings import Limits

STAGES = ["--encoder=a:1", "--unet=a:1", "--vae=a:1", "--state-dir=x"]
NAMES = [field.name for field in fields(Limits)]


@pytest.mark.parametrize("name", NAMES)
def test_the_largest_and_the_least_can_be_told(name: str) -> None:
    most = 16 if name == "max_batch_samples" else 2**63 - 1 if name.endswith("_bytes") else 2**32 - 1
    for value in (64 if name == "vae_tile_size" else 1, most):
        limits = Limits().with_changes([f"{name}={value}"])
        assert getattr(system_pb2.Limits(**vars(limits)), name) == value
    for wrong in (most + 1, "9" * 5_000, -1, "1.5", "", "x"):
        with pytest.raises(InvalidArgumentError, match=name):
            Limits().with_changes([f"{name}={wrong}"])


def test_a_name_that_is_none_is_answered_with_those_there_are() -> None:
    with pytest.raises(InvalidArgumentError, match=r"'max_size' is not one of max_width, .*max_checkpoints"):
        Limits().with_changes(["max_size=1"])


@pytest.mark.parametrize("option", ["variant", "image-encoder"])
def test_what_is_said_of_a_checkpoint_names_one(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    for given in ("checkpoint", "transient-checkpoint"):
        settings = parse([*STAGES, f"--{given}=mine=folder", f"--{option}=mine=fp16"])
        assert {*settings.variants, *settings.image_encoders} == {"mine"}
    with pytest.raises(SystemExit):
        parse([*STAGES, "--checkpoint=mine=folder", f"--{option}=other=fp16"])
    assert f"argument --{option}: 'other' is none of the names that --checkpoint gives" in capsys.readouterr().err

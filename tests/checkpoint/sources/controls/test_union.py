"""Folders of union ControlNets: how they are known, their types, and what is refused of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests import tiny
from triptych.checkpoint import Checkpoint
from triptych.checkpoint.families.controlnet_union import CONTROL_NET_UNION, type_number, union_types
from triptych.checkpoint.identity.about import about
from triptych.errors import CheckpointInvalidError


@pytest.fixture
def folder(checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    return tiny.save_union_controlnet(tmp_path / "union", checkpoints["sdxl"], types=6)


@pytest.mark.parametrize("class_name", ["ControlNetUnionModel", "ControlNetModel_Union"])
def test_it_is_known_by_either_class(folder: Path, class_name: str) -> None:
    tiny.update(folder / "config.json", _class_name=class_name)
    net = Checkpoint.open(folder)
    assert net.family is CONTROL_NET_UNION
    told = about(net)
    assert (told.purpose, told.union_types) == ("controlling", union_types(net.components["controlnet"].architecture))
    assert told.union_types == ("openpose", "depth", "softedge", "canny", "normal", "segment")
    whole = sum(len(part.weights) for part in net.components.values())
    assert whole == len({name for part in net.components.values() for name in part.weights})


@pytest.mark.parametrize(
    ("given", "number"),
    [("canny", 3), ("Soft Edge", 2), ("anime_lineart", 3), ("5", 5), ("tile", None), ("", None), ("9", None)],
)
def test_a_type_has_several_names(folder: Path, given: str, number: int | None) -> None:
    types = union_types(Checkpoint.open(folder).components["controlnet"].architecture)
    assert type_number(given, types) == number


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        ({"controlnet_conditioning_channel_order": "bgr"}, "channel_order must be 'rgb'"),
        ({"num_control_type": 8}, r"asks for task_embedding \(8, 8\), which has shape \(6, 8\)"),
        ({"num_trans_channel": 320}, "num_trans_channel must be 8, as the first of block_out_channels is, not 320"),
        ({"num_trans_head": 3}, "num_trans_head must divide num_trans_channel 8, not be 3"),
        ({"addition_embed_type": None}, "a union ControlNet is one for Stable Diffusion XL"),
        ({"num_control_type": 1000}, "num_control_type is out of bounds"),
    ],
)
def test_what_does_not_fit_is_named(folder: Path, wrong: dict[str, Any], problem: str) -> None:
    tiny.update(folder / "config.json", **wrong)
    with pytest.raises(CheckpointInvalidError, match=problem):
        Checkpoint.open(folder)

"""Union ControlNets as single files: what their folder is, its heads aside, which no shape tells."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import ControlNetUnionModel
from safetensors.torch import load_file, save_file

from tests.checkpoint.sources.controls.test_file import NETS
from tests.checkpoint.sources.test_single_file import open_with_lies
from triptych.checkpoint import Checkpoint
from triptych.checkpoint.families.controlnet_union import CONTROL_NET_UNION, union_types
from triptych.errors import CheckpointInvalidError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """One of eight types, as diffusers saves it."""
    torch.manual_seed(3)
    unet = {key: value for key, value in NETS["sdxl"].items() if key not in ("sample_size", "up_block_types")}
    width = unet["block_out_channels"][0]
    net = ControlNetUnionModel(
        **unet, layers_per_block=1, conditioning_embedding_out_channels=(4, 8, 8, 12), num_control_type=8,
        num_trans_channel=width, num_proj_channel=width, num_trans_layer=2,
    )  # fmt: skip
    net.save_pretrained(tmp_path / "net")
    return tmp_path / "net"


def file_in(folder: Path) -> Path:
    return folder / "diffusion_pytorch_model.safetensors"


def test_a_file_is_what_its_folder_is(folder: Path) -> None:
    ours, theirs = Checkpoint.open(file_in(folder)), Checkpoint.open(folder)
    assert ours.family is theirs.family is CONTROL_NET_UNION and ours.source.format == "single-file"
    assert ours.components.keys() == theirs.components.keys()
    for name, component in theirs.components.items():
        assert ours.components[name].architecture.traced() == component.architecture.traced()
        assert ours.components[name].weights == component.weights
    assert len(union_types(ours.components["controlnet"].architecture)) == 8


@pytest.mark.parametrize(("missing", "named"), [
    ("spatial_ch_projs.weight", "lacks spatial_ch_projs.weight"),
    ("transformer_layes.0.attn.in_proj_weight", "lacks transformer_layes.0.attn.in_proj_weight"),
    ("add_embedding.linear_1.weight", "addition_embed_type must be 'text_time'"),
])  # fmt: skip
def test_what_is_missing_is_named(folder: Path, missing: str, named: str) -> None:
    tensors = load_file(file_in(folder))
    del tensors[missing]
    save_file(tensors, file_in(folder))
    with pytest.raises(CheckpointInvalidError, match=named):
        Checkpoint.open(file_in(folder))


def test_one_as_wide_as_no_union_is_refused(folder: Path) -> None:
    tensors: dict[str, Any] = load_file(file_in(folder))
    tensors["task_embedding"] = torch.zeros(8, 12)
    save_file(tensors, file_in(folder))
    with pytest.raises(CheckpointInvalidError, match="num_trans_channel must be 32"):
        Checkpoint.open(file_in(folder))


def test_headers_that_lie_are_refused_soon(folder: Path, tmp_path: Path) -> None:
    open_with_lies(file_in(folder), tmp_path)

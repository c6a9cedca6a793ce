"""A control-LoRA over a UNet: each sum, in the UNet's own type; a real request under one is in tests/e2e/controls."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from safetensors.torch import save_file

from tests import tiny
from tests.single_files import original_control_lora
from triptych.checkpoint import Checkpoint, Component
from triptych.contract import CONTROLNET, UNET
from triptych.engine.weights import map_files
from triptych.errors import InvalidArgumentError
from triptych.stage.control_loras import merged


def opened(checkpoint: Path, path: Path) -> tuple[Component, Component, ControlNetModel]:
    """A control-LoRA that is made for the checkpoint's UNet, that UNet, and what the two come to."""
    torch.manual_seed(3)
    unet = UNet2DConditionModel.from_pretrained(checkpoint / "unet")
    net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(4, 8, 8, 12))
    save_file(original_control_lora(net, unet), path)
    return Checkpoint.open(path).components[CONTROLNET], Checkpoint.open(checkpoint).components[UNET.name], net


def test_every_product_is_added_to_the_unets_own_weight(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    ours, unet, net = opened(checkpoints["sd1"], tmp_path / "lora.safetensors")
    over = ours.over(unet)
    arrays, state = merged(over, map_files(over)), net.state_dict()
    assert arrays.keys() == ours.factors.keys() and len(arrays) > 20
    for name, array in arrays.items():
        np.testing.assert_allclose(array, state[name].numpy(), atol=1e-6)
    assert {name for name in state if "cond_embedding" not in name} == ours.weights.keys() | arrays.keys()


def test_what_the_unet_has_otherwise_is_named(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    ours, _, _ = opened(checkpoints["sd1"], tmp_path / "lora.safetensors")
    other = Checkpoint.open(tiny.save_checkpoint(tmp_path / "other", "sd2")).components[UNET.name]
    over = ours.over(other)
    with pytest.raises(
        InvalidArgumentError, match=r"^controlnets: .*lora.safetensors changes .* it is for another one"
    ):
        merged(over, map_files(over))

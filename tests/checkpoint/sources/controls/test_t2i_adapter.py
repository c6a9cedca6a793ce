"""T2I-Adapters as folders and files, in diffusers' layout and in TencentARC's, and what is refused of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import T2IAdapter
from safetensors.torch import save_file

from tests import tiny
from tests.checkpoint.sources.test_single_file import open_with_lies
from triptych.checkpoint import Architecture, Checkpoint
from triptych.checkpoint.families.controls import control_misfit
from triptych.checkpoint.families.t2i_adapter import T2I_ADAPTERS, Feature, features, places
from triptych.checkpoint.identity.about import about
from triptych.checkpoint.safetensors import map_tensor
from triptych.contract import T2I_ADAPTER, UNET
from triptych.errors import CheckpointInvalidError

KINDS: Mapping[str, Mapping[str, Any]] = {
    "full": {"adapter_type": "full_adapter", "channels": [8, 16, 32, 32], "downscale_factor": 8, "num_res_blocks": 2},
    "grey": {"adapter_type": "full_adapter", "channels": [8, 16, 32, 32], "downscale_factor": 8, "in_channels": 1},
    "light": {"adapter_type": "light_adapter", "channels": [8, 16, 32], "downscale_factor": 8, "num_res_blocks": 4},
    "xl": {"adapter_type": "full_adapter_xl", "channels": [8, 16, 32, 32], "downscale_factor": 16, "num_res_blocks": 2},
    "xl-grey": {"channels": [8, 16, 32, 32], "in_channels": 1},
}


def original(adapter: T2IAdapter) -> dict[str, torch.Tensor]:
    """By the names of github.com/TencentARC/T2I-Adapter (ldm/modules/encoders/adapter.py), in which layers are counted
    through all blocks; of a light one within theirs.
    """
    layers, is_light = adapter.config["num_res_blocks"], adapter.config["adapter_type"] == "light_adapter"

    def named(name: str) -> str:
        name = name.removeprefix("adapter.")
        if is_light:
            return name.replace(".resnets.", ".body.")
        name = re.sub(r"body\.(\d+)\.in_conv", lambda match: f"body.{int(match[1]) * layers}.in_conv", name)
        layer = r"body\.(\d+)\.resnets\.(\d+)"
        return re.sub(layer, lambda match: f"body.{int(match[1]) * layers + int(match[2])}", name)

    return {named(name): tensor for name, tensor in adapter.state_dict().items()}


@pytest.mark.parametrize("layout", ["folder", "diffusers", "original", "pickled"])
@pytest.mark.parametrize("kind", KINDS)
def test_whatever_it_lies_in_it_is_the_same(
    tmp_path: Path, kind: str, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE_DIR", str(tmp_path / "cache"))
    path = folder = tiny.save_t2i_adapter(tmp_path / "adapter", **KINDS[kind])
    adapter = T2IAdapter.from_pretrained(folder)
    if layout == "diffusers":
        path = folder / "diffusion_pytorch_model.safetensors"
    elif layout == "original":
        save_file(original(adapter), path := tmp_path / "adapter.safetensors")
    elif layout == "pickled":
        torch.save(original(adapter), path := tmp_path / "adapter.pth")
    opened = Checkpoint.open(path)
    assert opened.family is T2I_ADAPTERS and about(opened).purpose == "controlling"
    component, maps = opened.components[T2I_ADAPTER], dict[Path, Any]()
    config = json.loads((folder / "config.json").read_text())
    assert component.architecture == Architecture.of(T2I_ADAPTER, "T2IAdapter", config)
    state = adapter.state_dict()
    assert component.weights.keys() == state.keys()
    assert all(np.array_equal(map_tensor(info, maps), state[name]) for name, info in component.weights.items())


@pytest.mark.parametrize("kind", KINDS)
def test_its_features_are_told_without_it(tmp_path: Path, kind: str) -> None:
    folder = tiny.save_t2i_adapter(tmp_path / "adapter", **KINDS[kind])
    architecture = Checkpoint.open(folder).components[T2I_ADAPTER].architecture
    with torch.no_grad():
        made = T2IAdapter.from_pretrained(folder)(torch.zeros(1, architecture.config["in_channels"], 128, 128))
    assert features(architecture) == [Feature(each.shape[1], 128 // each.shape[2]) for each in made]


def unet(checkpoint: Path) -> Architecture:
    return Checkpoint.open(checkpoint).components[UNET.name].architecture


def test_it_fits_a_unet_whose_blocks_are_as_wide(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    assert places(unet(checkpoints["sdxl"])) == [Feature(8, 2), Feature(16, 2), Feature(16, 4), Feature(16, 4)]
    assert places(unet(checkpoints["sd1"])) == [Feature(16, 1), Feature(32, 2), Feature(32, 2)]
    xl = Checkpoint.open(tiny.save_t2i_adapter(tmp_path / "xl")).components
    config = {"adapter_type": "full_adapter", "channels": [16, 32], "downscale_factor": 8}
    full = Checkpoint.open(tiny.save_t2i_adapter(tmp_path / "full", **config)).components
    assert control_misfit(xl, unet(checkpoints["sdxl"])) == control_misfit(full, unet(checkpoints["sd1"])) == ""
    for adapter, other, title in ((xl, "sd1", "Diffusion XL"), (full, "sdxl", "Diffusion 1.x and 2.x")):
        assert f"is made for Stable {title}, by its full_adapter" in control_misfit(adapter, unet(checkpoints[other]))


@pytest.mark.parametrize(("change", "problem"), [
    ({"adapter_type": "style_adapter"}, "adapter_type must be one of full_adapter, full_adapter_xl, light_adapter"),
    ({"in_channels": 4}, "in_channels must be 1 or 3"),
    ({"in_channels": 1}, r"asks for adapter.conv_in.weight \(8, 256, 3, 3\), which has shape \(8, 768, 3, 3\)"),
    ({"channels": []}, "channels must be like"),
    ({"num_res_blocks": 100}, "num_res_blocks must be a whole number from 1 to 16"),
    ({"downscale_factor": 0}, "downscale_factor must be a whole number from 1 to 64"),
])  # fmt: skip
def test_what_does_not_fit_is_named(tmp_path: Path, change: dict[str, Any], problem: str) -> None:
    folder = tiny.save_t2i_adapter(tmp_path / "adapter")
    tiny.update(folder / "config.json", **change)
    with pytest.raises(CheckpointInvalidError, match=problem):
        Checkpoint.open(folder)


@pytest.mark.parametrize(("names", "problem"), [
    (["body.0.block1.weight", "body.0.skep.weight"], "it has a layer body.0.skep.weight"),
    (["body.0.block1.weight"], "it lacks adapter.conv_in.weight"),
    (["body.0.block1.weight", "conv_in.weight"], "conv_in.weight takes 4 channels, and an adapter's 64, 192, 256, 768"),
    (["style_embedding", "transformer_layes.0.ln_1.weight"], "it is a T2I style adapter"),
    (["body.0.other.weight"], "it is a T2I-Adapter of another kind"),
])  # fmt: skip
def test_files_of_other_kinds_are_named(tmp_path: Path, names: list[str], problem: str) -> None:
    save_file({name: torch.zeros(4, 4, 3, 3) for name in names}, tmp_path / "adapter.safetensors")
    with pytest.raises(CheckpointInvalidError, match=problem):
        Checkpoint.open(tmp_path / "adapter.safetensors")


@pytest.mark.parametrize("kind", ["full", "light", "xl"])
def test_headers_that_lie_are_refused_soon(tmp_path: Path, kind: str) -> None:
    adapter = T2IAdapter.from_pretrained(tiny.save_t2i_adapter(tmp_path / "adapter", **KINDS[kind]))
    save_file(original(adapter), tmp_path / "adapter.safetensors")
    open_with_lies(tmp_path / "adapter.safetensors", tmp_path)

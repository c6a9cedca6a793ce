"""ControlNets as single files: recognised from names and shapes, every tensor diffusers' own, kin refused by name."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel, UNet2DConditionModel
from safetensors.torch import save_file

from tests import tiny
from tests.checkpoint.sources.test_single_file import open_with_lies
from tests.single_files import KINDS, original_control_lora, original_control_net
from triptych.checkpoint import Architecture, Checkpoint
from triptych.checkpoint.families.controlnet import misfit
from triptych.checkpoint.safetensors import map_tensor
from triptych.contract import CONTROLNET, CONTROLNET_HINT, UNET
from triptych.errors import CheckpointInvalidError

# Of the sizes that are told to XL's UNet nothing in a file says how many numbers each becomes.
XL = {"addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 96 + 6 * 256}
NETS: Mapping[str, Mapping[str, Any]] = {
    "sd1": KINDS["sd1"].unet,
    "sd2": KINDS["sd2"].unet,
    "sdxl": KINDS["sdxl"].unet | XL,
    "sdxl-mid": KINDS["sdxl"].unet | XL | {"transformer_layers_per_block": (1, 0, 1)},
}
CHANNELS = (4, 8, 8, 12)


def made(kind: str) -> Any:
    """One with numbers everywhere, as `tiny` makes it of a folder's UNet."""
    torch.manual_seed(3)
    unet = UNet2DConditionModel(layers_per_block=1, **NETS[kind])
    net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=CHANNELS, load_weights_from_unet=False)
    tiny.make_tell(net)
    return net


def written(path: Path, net: Any, prefix: str = "control_model.", **more: torch.Tensor) -> Path:
    """In the original's layout."""
    tensors = {f"{prefix}{name}": tensor.contiguous() for name, tensor in original_control_net(net).items()}
    save_file(tensors | more, path)
    return path


def assert_is(path: Path, net: Any) -> Checkpoint:
    """The file is read as that network: its architectures, and every tensor."""
    checkpoint = Checkpoint.open(path)
    assert checkpoint.family.name == "controlnet" and checkpoint.source.format == "single-file"
    ours, hint = (checkpoint.components[name] for name in (CONTROLNET, CONTROLNET_HINT))
    expected = Architecture.of(CONTROLNET, "ControlNetModel", json.loads(net.to_json_string()))
    assert ours.architecture.traced() == expected.traced()
    assert hint.architecture.config["block_out_channels"] == list(CHANNELS)
    maps: dict[Path, Any] = {}
    stem = "controlnet_cond_embedding."
    found = {name: map_tensor(info, maps) for name, info in ours.weights.items()}
    found |= {f"{stem}{name}": map_tensor(info, maps) for name, info in hint.weights.items()}
    state = net.state_dict()
    assert found.keys() == state.keys()
    assert all(np.array_equal(found[name], state[name].numpy()) for name in state)
    return checkpoint


@pytest.mark.parametrize("prefix", ["control_model.", ""])
@pytest.mark.parametrize("kind", NETS)
def test_a_file_is_what_it_was_made_of(tmp_path: Path, kind: str, prefix: str) -> None:
    net = made(kind)
    checkpoint = assert_is(written(tmp_path / "net.safetensors", net, prefix), net)
    assert checkpoint.unaligned_bytes == 0


@pytest.mark.parametrize("kind", ["sd1", "sd2"])
def test_it_is_what_diffusers_makes_of_it(tmp_path: Path, kind: str) -> None:
    net, path = made(kind), tmp_path / "net.safetensors"
    net.save_config(tmp_path)
    written(path, net)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = ControlNetModel.from_single_file(str(path), config=str(tmp_path), local_files_only=True)
    assert_is(path, theirs)


def test_one_in_diffusers_names(tmp_path: Path) -> None:
    net = made("sdxl")
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    assert_is(tmp_path / "net.safetensors", net)


def test_one_that_looks_at_no_text(tmp_path: Path) -> None:
    """As the smallest of XL's: no attention anywhere, so that nothing says how wide a text is."""
    config = {**NETS["sdxl"], "down_block_types": ("DownBlock2D",) * 3, "cross_attention_dim": 2048}
    del config["up_block_types"], config["sample_size"]
    net = ControlNetModel(
        layers_per_block=1, mid_block_type="UNetMidBlock2D", conditioning_embedding_out_channels=CHANNELS,
        **config | {"transformer_layers_per_block": (1, 1, 1)},
    )  # fmt: skip
    save_file(net.state_dict(), tmp_path / "net.safetensors")
    assert "CrossAttn" not in str(Checkpoint.open(tmp_path / "net.safetensors").components[CONTROLNET].config)


def test_half_precision_stays_what_it_is(tmp_path: Path) -> None:
    net = made("sd1").half()
    checkpoint = assert_is(written(tmp_path / "net.safetensors", net, ""), net)
    assert {info.dtype for part in checkpoint.components.values() for info in part.weights.values()} == {"F16"}


def test_a_pickled_one_with_a_checkpoint_around_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the first ones were published."""
    monkeypatch.setenv("TRIPTYCH_CACHE_DIR", str(tmp_path / "cache"))
    net = made("sd1")
    tensors = {f"control_model.{name}": tensor for name, tensor in original_control_net(net).items()}
    around = ("model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.decoder.up.0.block.0.conv1.weight")
    torch.save({"state_dict": tensors | {name: torch.zeros(4, 4, 3, 3) for name in around}}, tmp_path / "net.pth")
    assert_is(tmp_path / "net.pth", net)


@pytest.mark.parametrize(("name", "kind", "pools"), [
    ("control_v11e_sd15_shuffle.safetensors", "sd1", True),
    ("control_v11e_sd15_ip2p.safetensors", "sd1", False),
    ("shuffle_xl.safetensors", "sdxl", False),
])  # fmt: skip
def test_what_pools_is_told_by_its_name(tmp_path: Path, name: str, kind: str, pools: bool) -> None:
    path = written(tmp_path / name, made(kind))
    assert Checkpoint.open(path).components[CONTROLNET].architecture.config["global_pool_conditions"] is pools


def test_one_for_another_family_is_told_by_its_shapes(tmp_path: Path) -> None:
    first, second = (Checkpoint.open(written(tmp_path / f"{kind}.safetensors", made(kind))) for kind in ("sd1", "sdxl"))
    config = json.loads(json.dumps({"layers_per_block": 1, **NETS["sd1"]}))
    unet = Architecture.of(UNET.name, "UNet2DConditionModel", config)
    assert misfit(first.components[CONTROLNET].architecture, unet) == ""
    assert "cross_attention_dim 160" in misfit(second.components[CONTROLNET].architecture, unet)


def refused(path: Path) -> str:
    with pytest.raises(CheckpointInvalidError) as caught:
        Checkpoint.open(path)
    assert caught.value.metadata["file"] == str(path)
    return caught.value.message


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ("zero_convs.2.0.weight", "lacks control_model.controlnet_down_blocks.2.weight"),
        ("middle_block_out.0.weight", "lacks control_model.controlnet_mid_block.weight"),
        ("input_blocks.0.0.weight", "lacks control_model.conv_in.weight"),
        ("input_hint_block.2.weight", "lacks control_model.controlnet_cond_embedding.blocks.0.weight"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, missing: str, named: str) -> None:
    tensors = {f"control_model.{name}": tensor for name, tensor in original_control_net(made("sd1")).items()}
    del tensors[f"control_model.{missing}"]
    save_file(tensors, tmp_path / "net.safetensors")
    assert named in refused(tmp_path / "net.safetensors")


def test_the_difference_to_a_unet_is_named(tmp_path: Path) -> None:
    path = written(tmp_path / "net.safetensors", made("sd1"), "", difference=torch.zeros(1))
    assert "the difference to a checkpoint's UNet; take the whole ControlNet" in refused(path)


def made_lora(kind: str, layers: int = 1) -> tuple[Any, Any, dict[str, torch.Tensor]]:
    """The UNet, what a ControlNet is to become over it, and the control-LoRA's tensors."""
    torch.manual_seed(3)
    unet = UNet2DConditionModel(layers_per_block=layers, **NETS[kind])
    net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=CHANNELS)
    tiny.make_tell(net)
    return unet, net, original_control_lora(net, unet)


@pytest.mark.parametrize("kind", ["sd1", "sd2", "sdxl"])
def test_a_control_lora_is_told_by_its_mark_and_has_factors_and_whole_tensors(tmp_path: Path, kind: str) -> None:
    _, net, tensors = made_lora(kind)
    save_file(tensors, tmp_path / "lora.safetensors")
    checkpoint = Checkpoint.open(tmp_path / "lora.safetensors")
    ours = checkpoint.components[CONTROLNET]
    expected = Architecture.of(CONTROLNET, "ControlNetModel", json.loads(net.to_json_string()))
    assert ours.architecture.traced() == expected.traced()
    shapes = {name: info.shape for name, info in ours.weights.items()}
    shapes |= {name: factors.shape for name, factors in ours.factors.items()}
    own = {name: tuple(each.shape) for name, each in net.state_dict().items() if "cond_embedding" not in name}
    assert shapes == own and not ours.weights.keys() & ours.factors.keys()
    assert checkpoint.weights_bytes == sum(tensor.nbytes for tensor in tensors.values())


@pytest.mark.parametrize(("change", "named"), [
    (lambda tensors: tensors.pop("time_embed.0.up"), "lacks time_embed.0.up"),
    (lambda tensors: tensors.update({"time_embed.0.up": torch.zeros(128, 3)}), "time_embed.0: up .* not go together"),
    (lambda tensors: tensors.update({"time_embed.0.down": torch.zeros(2)}), "time_embed.0: up .* not go together"),
])  # fmt: skip
def test_factors_that_do_not_go_together_are_named(tmp_path: Path, change: Any, named: str) -> None:
    tensors = made_lora("sd1")[2]
    change(tensors)
    save_file(tensors, tmp_path / "lora.safetensors")
    assert re.search(named, refused(tmp_path / "lora.safetensors"))


@pytest.mark.parametrize("kind", ["sd1", "sdxl"])
def test_a_control_lora_is_to_become_what_diffusers_makes_of_it(kind: str) -> None:
    """Which knows blocks of two layers alone; each layer's product is that of `made_lora`."""
    unet, net, tensors = made_lora(kind, layers=2)
    theirs = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=CHANNELS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what it adapts besides, by nothing
        theirs.load_lora_adapter({name: each.clone() for name, each in tensors.items()}, prefix=None)
    theirs.fuse_lora()
    state = {name.replace(".base_layer", ""): each for name, each in theirs.state_dict().items()}
    for name, weight in net.state_dict().items():
        found = state.get(name, state.get(re.sub(r"(\.\w+)$", r".modules_to_save.default_0\1", name)))
        assert found is not None and torch.allclose(found, weight, atol=1e-5), name


def test_headers_that_lie_are_refused_soon(tmp_path: Path) -> None:
    open_with_lies(written(tmp_path / "net.safetensors", made("sdxl")), tmp_path)

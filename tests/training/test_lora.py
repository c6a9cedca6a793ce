"""The layers that are trained, and the file that they become, are the same change of the same UNet."""

from pathlib import Path

import pytest

pytest.importorskip("diffusers")
pytest.importorskip("transformers")

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor, nn

from triptych import demo
from triptych.checkpoint import Checkpoint, Component
from triptych.checkpoint.safetensors import map_tensor
from triptych.lora import LoraFile, match_lora, merge
from triptych_training.lora import ALPHA, RANK, attach_lora, save_lora
from triptych_training.trainers.lora import load_networks


@pytest.fixture(scope="module")
def components() -> dict[str, Component]:
    return dict(Checkpoint.open(demo.checkpoint_path()).components)


@pytest.fixture
def unet() -> nn.Module:
    unet: nn.Module = load_networks(demo.checkpoint_path())["unet"]
    return unet


@torch.no_grad()
def painted(unet: nn.Module) -> Tensor:
    random = torch.Generator().manual_seed(0)
    latents = torch.randn(2, 4, 16, 16, generator=random)
    text = torch.randn(2, 77, 128, generator=random)
    velocity: Tensor = unet(latents, torch.tensor([900, 100]), text).sample
    return velocity


def stirred(layers: nn.ModuleDict) -> nn.ModuleDict:
    """Layers as if trained, rounded as their file is."""
    torch.manual_seed(1)
    for layer in layers.values():
        nn.init.normal_(layer.lora_up.weight, std=0.05)
    return layers.half().float()


def test_a_lora_at_zero_changes_nothing(unet: nn.Module) -> None:
    before = painted(unet)
    layers = attach_lora(unet)
    assert torch.equal(painted(unet), before)
    stirred(layers)
    assert not torch.allclose(painted(unet), before, atol=1e-2)


def test_layers_learn_and_the_unet_does_not(unet: nn.Module) -> None:
    names = list(unet.state_dict())
    layers = attach_lora(unet)
    assert list(unet.state_dict()) == names
    velocity = unet(torch.randn(1, 4, 16, 16), torch.tensor([500]), torch.randn(1, 77, 128)).sample
    torch.autograd.backward(velocity.square().mean())
    assert all(parameter.grad is None for parameter in unet.parameters())
    assert all(layer.lora_up.weight.grad is not None and layer.lora_up.weight.grad.any() for layer in layers.values())


def test_layers_stand_where_they_should(unet: nn.Module) -> None:
    keys = attach_lora(unet).keys()
    attention = "lora_unet_mid_block_attentions_0_transformer_blocks_0"
    for place in ("attn1_to_q", "attn2_to_k", "attn2_to_out_0", "ff_net_0_proj", "ff_net_2"):
        assert f"{attention}_{place}" in keys
    assert {"lora_unet_conv_in", "lora_unet_conv_out", "lora_unet_mid_block_resnets_0_conv1"} < keys
    assert not [key for key in keys if "time_emb" in key or "shortcut" in key]


def test_the_file_merged_is_the_layers(unet: nn.Module, components: dict[str, Component], tmp_path: Path) -> None:
    path = tmp_path / "loras" / "some.safetensors"
    layers = stirred(attach_lora(unet))
    size_bytes = save_lora(layers, path)
    assert size_bytes == path.stat().st_size < 500_000
    file = LoraFile.open(path)
    match = match_lora(file, components)
    assert (file.format, file.rank, match.left_over) == ("kohya", RANK, ())
    assert len(match.targets["unet"]) == len(layers)
    expected = painted(unet)
    fresh = load_networks(demo.checkpoint_path())["unet"]
    weights = dict(fresh.named_parameters())
    for target in match.targets["unet"]:
        base = map_tensor(components["unet"].weights[target.parameter], {}).astype(np.float32)
        with torch.no_grad():
            weights[target.parameter].copy_(torch.from_numpy(merge(base, [(target, 1.0)], {})))
    assert torch.allclose(painted(fresh), expected, rtol=1e-5, atol=1e-5)


def test_the_file_says_what_it_is(unet: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "some.safetensors"
    save_lora(attach_lora(unet), path)
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"ss_network_module": "networks.lora"}
    tensors = load_file(path)
    assert {tensor.dtype for tensor in tensors.values()} == {torch.float16}
    assert float(tensors["lora_unet_conv_in.alpha"]) == ALPHA


def test_the_shipped_loras_fit_the_shipped_checkpoint(components: dict[str, Component]) -> None:
    assert list(demo.lora_paths()) == sorted(demo.lora_paths())
    for path in demo.lora_paths().values():
        assert match_lora(LoraFile.open(path), components).left_over == ()

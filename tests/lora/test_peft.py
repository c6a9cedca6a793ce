"""Files that PEFT itself writes, of every algorithm that it shares with us, merge to what PEFT merges them to."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.lora.algorithms.test_algorithms import LAYERS
from tests.lora.conftest import Components
from triptych.checkpoint.safetensors import map_tensor
from triptych.checkpoint.weights import canonical_name
from triptych.lora import LoraFile, match_lora, merge

peft = pytest.importorskip("peft")

MODELS = {
    "sd1 unet": ("sd1", "unet", "unet", "UNet2DConditionModel"),
    "sd2 unet": ("sd2", "unet", "unet", "UNet2DConditionModel"),
    "sdxl unet": ("sdxl", "unet", "unet", "UNet2DConditionModel"),
    "sdxl encoder_2": ("sdxl", "encoder_2", "text_encoder_2", "CLIPTextModelWithProjection"),
}
# A norm's bias and a layer without an adapter are trained along.
SAVED = {"unet": ["conv_out", "conv_norm_out"], "encoder_2": ["final_layer_norm"]}
CONFIGS: dict[str, Callable[[str], Any]] = {
    "LoRA": lambda _: peft.LoraConfig(r=4, lora_alpha=3, rank_pattern={"fc2": 2, "conv2": 3}),
    "LoRA, rank-stabilised": lambda _: peft.LoraConfig(r=4, lora_alpha=3, use_rslora=True, alpha_pattern={"conv2": 5}),
    "LoRA with a bias": lambda _: peft.LoraConfig(r=4, lora_alpha=3, lora_bias=True),
    "LoRA beside whole layers": lambda model: peft.LoraConfig(r=4, modules_to_save=SAVED[model]),
    "LoRA beside biases": lambda _: peft.LoraConfig(r=4, bias="all"),
    "DoRA": lambda _: peft.LoraConfig(r=4, lora_alpha=3, use_dora=True),
    "LoHa": lambda _: peft.LoHaConfig(r=4, alpha=3, alpha_pattern={"conv2": 5}, init_weights=False),
    "LoHa, Tucker": lambda _: peft.LoHaConfig(r=4, alpha=3, use_effective_conv2d=True, init_weights=False),
    "LoKr": lambda _: peft.LoKrConfig(r=2, alpha=3, decompose_both=True, decompose_factor=8, init_weights=False),
    "LoKr, Tucker": lambda _: peft.LoKrConfig(
        r=2, alpha=3, use_effective_conv2d=True, decompose_factor=2, init_weights=False
    ),
    "LoKr, whole": lambda _: peft.LoKrConfig(
        r=64, alpha=32, rank_pattern={"conv2": 32}, alpha_pattern={"conv2": 20}, init_weights=False
    ),
    "(IA)^3": lambda _: peft.IA3Config(feedforward_modules=["fc2", "conv2"]),
    "OFT": lambda _: peft.OFTConfig(oft_block_size=4),
    "OFT, exact": lambda _: peft.OFTConfig(r=4, oft_block_size=0, use_cayley_neumann=False),
    "OFT, constrained": lambda _: peft.OFTConfig(oft_block_size=4, coft=True, eps=1.0, num_cayley_neumann_terms=3),
    "OFT, shared": lambda _: peft.OFTConfig(oft_block_size=4, block_share=True, num_cayley_neumann_terms=8),
    "BOFT": lambda _: peft.BOFTConfig(boft_block_size=4),
}


@pytest.fixture(scope="session")
def modules(checkpoints: dict[str, Path], sdxl: Path) -> dict[str, torch.nn.Module]:
    """Every model as its own library loads it."""
    import diffusers
    import transformers

    paths = {**checkpoints, "sdxl": sdxl}
    return {
        name: getattr(diffusers if model == "unet" else transformers, class_name).from_pretrained(
            paths[family] / folder
        )
        for name, (family, model, folder, class_name) in MODELS.items()
    }


def randomised(module: torch.nn.Module) -> None:
    """As if trained: whatever is the adapter's own gets away from its beginning."""
    chance = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in module.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn(parameter.shape, generator=chance) * 0.3)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] if name == "sd2 unet" else []) for name in MODELS]
)
@pytest.mark.parametrize("config", CONFIGS)
def test_parity_with_peft(
    tmp_path: Path, opened: dict[str, Components], modules: dict[str, torch.nn.Module], config: str, name: str
) -> None:
    family, model, _, class_name = MODELS[name]
    made = CONFIGS[config](model)
    component = opened[family][model]
    layers = [
        layer for layer in LAYERS[family][model] if config != "LoRA with a bias" or f"{layer}.bias" in component.weights
    ]
    made.target_modules = sorted(layers if model == "unet" else (f"text_model.{layer}" for layer in layers))
    if made.peft_type == "IA3":
        made.feedforward_modules = {layer for layer in made.target_modules if layer.endswith(("fc2", "conv2"))}
    wrapped = peft.get_peft_model(copy.deepcopy(modules[name]), made)
    randomised(wrapped)
    wrapped.save_pretrained(tmp_path)
    theirs = {
        canonical_name(class_name, each): tensor.numpy()
        for each, tensor in wrapped.merge_and_unload().state_dict().items()
    }
    match = match_lora(LoraFile.open(tmp_path / "adapter_model.safetensors"), {model: component})
    assert match.left_over == ()
    targets = {target.parameter: target for target in match.targets[model]}
    for parameter, info in component.weights.items():
        base = map_tensor(info, {}).astype(np.float32)
        ours = merge(base, [(targets[parameter], 1.0)], {}) if parameter in targets else base
        np.testing.assert_allclose(ours, theirs[parameter], rtol=1e-5, atol=1e-5, err_msg=parameter)
        assert parameter not in targets or not base.any() or abs(ours - base).max() > 1e-4
    assert {f"{layer}.weight" for layer in layers} <= targets.keys()


@pytest.mark.parametrize("stages", [2, 3])
def test_a_butterfly_of_several_stages(tmp_path: Path, opened: dict[str, Components], stages: int) -> None:
    """PEFT makes more than one only on a GPU, so that its own permutations and its formula are put together here."""
    from peft.tuners.boft.layer import BOFTLayer
    from safetensors.torch import save_file

    parameter = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight"
    base = map_tensor(opened["sd1"]["unet"].weights[parameter], {}).astype(np.float32)
    chance = torch.Generator().manual_seed(stages)
    size, inputs = 4, base.shape[1]
    blocks = torch.randn(stages, inputs // size, size, size, generator=chance) * 0.3
    scales = 1 + 0.3 * torch.randn(base.shape[0], 1, generator=chance)
    turn = torch.eye(inputs, dtype=torch.double)
    for stage in range(stages):
        skew = 0.5 * (blocks[stage] - blocks[stage].mT).double()
        identity = torch.eye(size, dtype=torch.double).expand_as(skew)
        turns = torch.block_diag(*torch.linalg.solve(identity + skew, identity - skew, left=False))
        number = inputs // size // 2**stage
        order = BOFTLayer.block_butterfly_perm(None, inputs, number, size // 2, stages - 1)
        permutation = torch.eye(inputs, dtype=torch.double)[order]
        turn = permutation @ turns @ permutation.T @ turn
    expected = (turn @ torch.tensor(base).double().T).T * scales
    key = f"base_model.model.{parameter.removesuffix('.weight')}"
    save_file({f"{key}.boft_R": blocks, f"{key}.boft_s": scales}, tmp_path / "x.safetensors")
    (target,) = match_lora(LoraFile.open(tmp_path / "x.safetensors"), opened["sd1"]).targets["unet"]
    np.testing.assert_allclose(merge(base, [(target, 1.0)], {}), expected.numpy(), rtol=1e-5, atol=1e-5)

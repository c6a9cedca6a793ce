"""The original UNet's names, which kohya's SDXL files speak of: by hand, and as diffusers itself converts them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tests.lora import making
from tests.lora.conftest import Components
from triptych.checkpoint import Architecture, Component
from triptych.checkpoint.safetensors import TensorInfo
from triptych.lora import LoraFile, match_lora
from triptych.lora.parameters import original_names

KNOWN = {
    "input_blocks_0_0": "conv_in",
    "input_blocks_1_0_in_layers_2": "down_blocks.0.resnets.0.conv1",
    "input_blocks_2_0_emb_layers_1": "down_blocks.0.resnets.1.time_emb_proj",
    "input_blocks_3_0_op": "down_blocks.0.downsamplers.0.conv",
    "input_blocks_4_0_skip_connection": "down_blocks.1.resnets.0.conv_shortcut",
    "input_blocks_4_1_proj_in": "down_blocks.1.attentions.0.proj_in",
    "input_blocks_4_1_transformer_blocks_0_attn1_to_q": "down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q",
    "input_blocks_8_1_transformer_blocks_2_ff_net_2": "down_blocks.2.attentions.1.transformer_blocks.2.ff.net.2",
    "middle_block_0_out_layers_3": "mid_block.resnets.0.conv2",
    "middle_block_1_transformer_blocks_1_attn2_to_out_0": "mid_block.attentions.0.transformer_blocks.1.attn2.to_out.0",
    "middle_block_2_in_layers_2": "mid_block.resnets.1.conv1",
    "output_blocks_0_1_transformer_blocks_0_attn2_to_k": "up_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k",
    "output_blocks_2_2_conv": "up_blocks.0.upsamplers.0.conv",
    "output_blocks_5_2_conv": "up_blocks.1.upsamplers.0.conv",
    "output_blocks_8_0_in_layers_2": "up_blocks.2.resnets.2.conv1",
    "time_embed_0": "time_embedding.linear_1",
    "time_embed_2": "time_embedding.linear_2",
    "label_emb_0_0": "add_embedding.linear_1",
    "label_emb_0_2": "add_embedding.linear_2",
    "out_2": "conv_out",
    "out_0": "conv_norm_out",
    "input_blocks_1_0_in_layers_0": "down_blocks.0.resnets.0.norm1",
    "middle_block_2_out_layers_0": "mid_block.resnets.1.norm2",
    "output_blocks_0_1_norm": "up_blocks.0.attentions.0.norm",
    "input_blocks_4_1_transformer_blocks_0_norm3": "down_blocks.1.attentions.0.transformer_blocks.0.norm3",
}


def component(**config: Any) -> Component:
    """A UNet of names and shapes only."""
    from diffusers import UNet2DConditionModel

    with torch.device("meta"):
        unet = UNet2DConditionModel(sample_size=8, norm_num_groups=4, attention_head_dim=4, **config)
    weights = {
        name: TensorInfo(Path("none"), "F32", tuple(tensor.shape), 0, 4 * tensor.numel())
        for name, tensor in unet.state_dict().items()
    }
    architecture = Architecture.of("unet", "UNet2DConditionModel", dict(unet.config))
    return Component(Path("none"), architecture, dict(unet.config), weights)


@pytest.fixture(scope="module")
def narrow() -> Component:
    """Stable Diffusion XL's UNet, narrower."""
    return component(
        block_out_channels=(8, 16, 32),
        cross_attention_dim=64,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=(1, 2, 3),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=80,
    )


@pytest.mark.parametrize(("original", "module"), KNOWN.items())
def test_known_names(narrow: Component, original: str, module: str) -> None:
    assert original_names(narrow)[original] == f"{module}.weight"


def test_every_module_as_diffusers_converts_it(narrow: Component) -> None:
    from diffusers.loaders.lora_conversion_utils import _convert_unet_lora_key, _maybe_map_sgm_blocks_to_diffusers
    from diffusers.utils.state_dict_utils import convert_unet_state_dict_to_peft

    """But for norms, whose names it does not convert."""
    all_names = original_names(narrow)
    assert set(all_names.values()) == {name for name in narrow.weights if name.endswith("weight")}
    changeable = {
        name for name, info in narrow.weights.items() if name.endswith("weight") and len(info.shape) in (2, 4)
    }
    names = {name: parameter for name, parameter in all_names.items() if parameter in changeable}
    assert set(names.values()) == changeable
    for original, parameter in names.items():
        key = f"lora_unet_{original}.lora_down.weight"
        (mapped,) = _maybe_map_sgm_blocks_to_diffusers({key: 0}, SimpleNamespace(layers_per_block=2))
        (converted,) = convert_unet_state_dict_to_peft({_convert_unet_lora_key(mapped): 0})
        module = converted.removesuffix(".weight").removesuffix(".lora_A").removesuffix(".lora")
        # diffusers does not know its own name of the convolutions that resample.
        module = module.replace(".op", ".conv")
        assert f"{module}.weight" == parameter, original


def test_layers_of_each_block() -> None:
    uneven = component(
        block_out_channels=(8, 16),
        layers_per_block=(1, 2),
        cross_attention_dim=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )
    names = original_names(uneven)
    assert names["input_blocks_2_0_op"] == "down_blocks.0.downsamplers.0.conv.weight"
    assert names["input_blocks_4_0_in_layers_2"] == "down_blocks.1.resnets.1.conv1.weight"
    # A block without attention: the upsampler stands where the attention would.
    assert names["output_blocks_2_1_conv"] == "up_blocks.0.upsamplers.0.conv.weight"
    assert names["output_blocks_3_0_in_layers_2"] == "up_blocks.1.resnets.0.conv1.weight"


def test_a_file_with_both_names_is_applied_once(tmp_path: Path, opened: dict[str, Components]) -> None:
    unet = opened["sd1"]["unet"]
    ours = "down_blocks.0.resnets.0.conv1"
    factors = making.Factors(torch.ones(2, 16, 3, 3), torch.ones(16, 2, 1, 1), 2.0)
    tensors = making.kohya({("unet", f"{name}.weight"): factors for name in (ours, "input_blocks.1.0.in_layers.2")})
    match = match_lora(
        LoraFile.open(
            making.save(tmp_path / "x.safetensors", {name: tensor.clone() for name, tensor in tensors.items()})
        ),
        {"unet": unet},
    )
    (target,) = match.targets["unet"]
    assert target.module.key == "lora_unet_down_blocks_0_resnets_0_conv1"
    assert match.left_over == ("lora_unet_input_blocks_1_0_in_layers_2",)

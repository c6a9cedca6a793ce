"""Text encoders' layers under OpenCLIP's names are those under transformers', or the file is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.lora import making
from tests.lora.conftest import Components
from triptych.checkpoint import Checkpoint
from triptych.errors import LoraInvalidError
from triptych.lora import LoraFile, match_lora
from triptych.lora.parameters import original_names

NAMES = {
    "resblocks.0.ln_1": "encoder.layers.0.layer_norm1",
    "resblocks.1.ln_2": "encoder.layers.1.layer_norm2",
    "resblocks.0.attn.out_proj": "encoder.layers.0.self_attn.out_proj",
    "resblocks.1.mlp.c_fc": "encoder.layers.1.mlp.fc1",
    "resblocks.1.mlp.c_proj": "encoder.layers.1.mlp.fc2",
    "ln_final": "final_layer_norm",
}


@pytest.mark.parametrize(("original", "layer"), NAMES.items())
@pytest.mark.parametrize(
    ("family", "model", "prefix"),
    [
        ("sd2", "encoder", "cond_stage_model.model.transformer."),
        ("sd2", "encoder", "lora_te_model_transformer_"),
        ("sdxl", "encoder_2", "conditioner.embedders.1.model.transformer."),
        ("sdxl", "encoder_2", "te2.transformer."),
    ],
)
def test_layers_have_both_names(
    tmp_path: Path, opened: dict[str, Components], original: str, layer: str, family: str, model: str, prefix: str
) -> None:
    shape = opened[family][model].weights[f"{layer}.weight"].shape
    key = prefix + (original if prefix.endswith(".") else original.replace(".", "_"))
    tensors = {f"{key}.{'diff' if len(shape) > 1 else 'w_norm'}": torch.ones(shape)}
    match = match_lora(LoraFile.open(making.save(tmp_path / "x.safetensors", tensors)), opened[family])
    assert [target.parameter for target in match.targets[model]] == [f"{layer}.weight"]
    assert match.left_over == ()


def test_the_refiners_only_encoder_is_meant_by_its_place(tmp_path: Path, checkpoints: dict[str, Path]) -> None:
    components = Checkpoint.open(checkpoints["refiner"]).components
    width = components["encoder_2"].architecture.config["hidden_size"]
    key = "conditioner.embedders.0.model.transformer.resblocks.0.attn.out_proj"
    tensors = {f"{key}.diff": torch.ones(width, width)}
    match = match_lora(LoraFile.open(making.save(tmp_path / "x.safetensors", tensors)), components)
    assert [target.parameter for target in match.targets["encoder_2"]] == ["encoder.layers.0.self_attn.out_proj.weight"]


def test_no_layer_but_queries_keys_and_values_lacks_a_name(opened: dict[str, Components]) -> None:
    encoder = opened["sdxl"]["encoder_2"]
    unnamed = {name for name in encoder.weights if name.endswith(".weight")} - set(original_names(encoder).values())
    assert {name.rsplit(".", 2)[-2] for name in unnamed} == {"q_proj", "k_proj", "v_proj", "text_projection"}


@pytest.mark.parametrize(
    "end", ["attn.in_proj.lora_down.weight", "attn.in_proj_weight", "attn.in_proj_bias", "attn.in_proj.unheard_of"]
)
@pytest.mark.parametrize("prefix", ["cond_stage_model.model.transformer.", "lora_te_transformer_"])
def test_what_is_fused_is_refused_and_not_left_out(
    tmp_path: Path, opened: dict[str, Components], prefix: str, end: str
) -> None:
    name = f"{prefix}resblocks.0.{end}" if prefix.endswith(".") else f"{prefix}resblocks_0_{end.replace('.', '_', 1)}"
    tensors = {"unet.conv_in.diff": torch.zeros(opened["sd2"]["unet"].weights["conv_in.weight"].shape)}
    tensors |= {name: torch.ones(4, 32), name.replace("lora_down", "lora_up"): torch.ones(96, 4)}
    read = LoraFile.open(making.save(tmp_path / "x.safetensors", tensors))
    with pytest.raises(LoraInvalidError, match=r"in_proj.*: changes queries, keys and values in one, as OpenCLIP"):
        match_lora(read, opened["sd2"])


@pytest.mark.parametrize("end", ["", ".diff"])
@pytest.mark.parametrize("prefix", ["conditioner.embedders.1.model.", "conditioner_embedders_1_model_"])
def test_the_projection_the_other_way_round_is_refused_though_it_fits(
    tmp_path: Path, opened: dict[str, Components], prefix: str, end: str
) -> None:
    (width, _) = opened["sdxl"]["unet"].weights["conv_in.weight"].shape[:2]
    tensors = {"unet.conv_in.diff_b": torch.zeros(width)}
    tensors |= {f"{prefix}text_projection{end}": torch.ones(48, 24)}
    read = LoraFile.open(making.save(tmp_path / "x.safetensors", tensors))
    with pytest.raises(
        LoraInvalidError, match=r"text_projection.*: changes OpenCLIP's projection, which is the transp"
    ):
        match_lora(read, opened["sdxl"])

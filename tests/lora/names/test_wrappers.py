"""Words before a layer's name, in any order: passed over, or what says the model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.lora import making
from tests.lora.conftest import Components
from triptych.errors import LoraInvalidError
from triptych.lora import LoraFile, match_lora
from triptych.lora.wrappers import readings, said_model

LAYER = "text_model.encoder.layers.0.self_attn.q_proj"


@pytest.mark.parametrize(
    ("beginning", "model"),
    [
        ("lora_te1_", "encoder"),
        ("lora_te2_", "encoder_2"),
        ("te.", "encoder"),
        ("te1.", "encoder"),
        ("te2.", "encoder_2"),
        ("lycoris_te2_", "encoder_2"),
        ("text_encoder.", "encoder"),
        ("text_encoder_1.", "encoder"),
        ("text_encoder_2.", "encoder_2"),
        ("base_model.model.text_encoder_2.", "encoder_2"),
        ("text_encoders.clip_l.transformer.", "encoder"),
        ("text_encoders.clip_g.transformer.", "encoder_2"),
        ("clip_g.", "encoder_2"),
        ("cond_stage_model.transformer.", "encoder"),
        ("conditioner.embedders.1.model.", "encoder_2"),
        ("lora_unet_", "unet"),
        ("unet.base_model.model.", "unet"),
        ("model.diffusion_model.", "unet"),
        ("diffusion_model.", "unet"),
        ("lycoris_", None),
        ("base_model.model.", None),
        ("model.", None),
        ("", None),
    ],
)
def test_what_a_beginning_says(
    tmp_path: Path, opened: dict[str, Components], beginning: str, model: str | None
) -> None:
    assert said_model(f"{beginning}{LAYER}") == model
    if model is None or model == "unet":
        return
    width = opened["sdxl"][model].architecture.config["hidden_size"]
    key = f"{beginning}{LAYER}" if "." in beginning else f"{beginning}{LAYER.replace('.', '_')}"
    tensors = {f"{key}.diff": torch.ones(width, width)}
    match = match_lora(LoraFile.open(making.save(tmp_path / "x.safetensors", tensors)), opened["sdxl"])
    assert [target.parameter for target in match.targets[model]] == ["encoder.layers.0.self_attn.q_proj.weight"]
    assert match.left_over == ()


def test_a_name_of_words_alone_is_read_so_far_and_no_further() -> None:
    assert len(list(readings(f"{'lora_' * 100}unet_conv_in"))) == 11


@pytest.mark.parametrize("beginning", ["lora_controlnet_", "first_stage_model.", "vae.", "lora_adapter_"])
def test_other_beginnings_are_no_layers_of_ours(tmp_path: Path, opened: dict[str, Components], beginning: str) -> None:
    """And no other model is blamed, where only names say so."""
    tensors = {f"{beginning}conv_in.diff": torch.ones(16, 4, 3, 3)}
    read = LoraFile.open(making.save(tmp_path / "x.safetensors", tensors))
    with pytest.raises(LoraInvalidError, match="none of its 1 modules is part of this checkpoint") as caught:
        match_lora(read, opened["sd1"])
    assert "another model" not in caught.value.message


def test_a_rotation_with_magnitudes_is_refused_whole(tmp_path: Path, opened: dict[str, Components]) -> None:
    """DoRA goes with what adds; a rotation's magnitudes, which OneTrainer writes, are not known how to apply."""
    key = "unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
    tensors = {f"{key}.oft_R.weight": torch.zeros(8, 6), f"{key}.dora_scale": torch.ones(32, 1)}
    read = LoraFile.open(making.save(tmp_path / "x.safetensors", tensors))
    with pytest.raises(LoraInvalidError, match=r"dora_scale: changes a layer here in a way that is not known"):
        match_lora(read, opened["sd1"])

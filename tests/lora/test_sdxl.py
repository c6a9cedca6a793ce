"""LoRAs for a model with two text encoders: whose module is whose, and what was made for the other family."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.lora import making
from tests.lora.conftest import Components
from triptych.errors import LoraInvalidError
from triptych.lora import LoraFile, Match, match_lora


def matched(path: Path, tensors: making.Tensors, components: Components) -> Match:
    return match_lora(LoraFile.open(making.save(path / "x.safetensors", tensors)), components)


def refusal(path: Path, tensors: making.Tensors, components: Components) -> str:
    with pytest.raises(LoraInvalidError) as caught:
        matched(path, tensors, components)
    return caught.value.message


def matrix(key: str, outputs: int, inputs: int) -> making.Tensors:
    return {f"{key}.lora_A.weight": torch.ones(2, inputs), f"{key}.lora_B.weight": torch.ones(outputs, 2)}


@pytest.mark.parametrize("model", ["encoder", "encoder_2", "unet"])
@pytest.mark.parametrize("prefix", ["base_model.model.", ""])
def test_pefts_file_of_one_model_belongs_to_the_one_that_it_fits(
    tmp_path: Path, opened: dict[str, Components], model: str, prefix: str
) -> None:
    lora = making.random_lora(opened["sdxl"], family="sdxl", only=lambda of, parameter: of == model)
    match = matched(tmp_path, making.peft(lora, prefix=prefix), opened["sdxl"])
    assert match.left_over == ()
    for each, targets in match.targets.items():
        assert {target.parameter for target in targets} == making.names(lora, each)


def test_a_module_that_fits_neither_encoder_or_both(tmp_path: Path, opened: dict[str, Components]) -> None:
    key = "base_model.model.encoder.layers.0.self_attn.q_proj"
    assert "do not fit encoder.layers.0.self_attn.q_proj" in refusal(tmp_path, matrix(key, 40, 40), opened["sdxl"])
    twice = opened["sdxl"] | {"encoder": opened["sdxl"]["encoder_2"]}
    assert f"{key} fits two models; name the one" in refusal(tmp_path, matrix(key, 48, 48), twice)


@pytest.mark.parametrize("key", ["lora_te2_text_projection", "text_encoder_2.text_projection"])
def test_the_projection_is_a_matrix_like_any_other(tmp_path: Path, opened: dict[str, Components], key: str) -> None:
    match = matched(tmp_path, matrix(key, 24, 48), opened["sdxl"])
    assert [target.parameter for target in match.targets["encoder_2"]] == ["text_projection.weight"]


@pytest.mark.parametrize("embedding", ["add_embedding_linear_1", "label_emb_0_0"])
def test_the_embedding_of_sizes_is_one_too(tmp_path: Path, opened: dict[str, Components], embedding: str) -> None:
    match = matched(tmp_path, matrix(f"lora_unet_{embedding}", 32, 72), opened["sdxl"])
    assert [target.parameter for target in match.targets["unet"]] == ["add_embedding.linear_1.weight"]


def test_one_made_for_stable_diffusion_1_is_refused(tmp_path: Path, opened: dict[str, Components]) -> None:
    lora = making.random_lora(opened["sd1"])
    for tensors in (making.kohya(lora), making.diffusers(lora)):
        assert "the LoRA was made for another model" in refusal(tmp_path, tensors, opened["sdxl"])
    # Its text encoder is as wide as the first of the two.
    encoder = making.random_lora(opened["sd1"], only=lambda model, parameter: model == "encoder" and "fc1" in parameter)
    message = refusal(tmp_path, making.kohya(encoder), opened["sdxl"])
    assert "one text encoder; the LoRA was made for another model (Stable Diffusion 1.x or 2.x, by" in message
    wide = matrix("lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k", 16, 768)
    assert "another model (Stable Diffusion 1.x, by the look" in refusal(tmp_path, wide, opened["sdxl"])


def test_one_made_for_sdxl_is_refused_elsewhere(tmp_path: Path, opened: dict[str, Components]) -> None:
    lora = making.random_lora(opened["sdxl"], family="sdxl")
    for tensors in (making.kohya_sdxl(lora), making.diffusers(lora)):
        assert "the LoRA was made for another model (SDXL, by the look of it)" in refusal(
            tmp_path, tensors, opened["sd1"]
        )
    encoders = {place: factors for place, factors in lora.items() if place[0] != "unet" and ".0." in place[1]}
    message = refusal(tmp_path, making.kohya_sdxl(encoders), opened["sd1"])
    assert "two text encoders; the LoRA was made for another model (SDXL, by the look of it)" in message

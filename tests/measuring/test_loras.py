"""LoRAs of random weights, found again in the checkpoint that they were made for."""

from __future__ import annotations

from pathlib import Path

import pytest

from triptych.checkpoint import Checkpoint
from triptych.lora import LoraFile, match_lora
from triptych.measuring.loras import RANK, ensure_lora, ensure_whole_lora, linears


@pytest.mark.parametrize("family", ["sd1", "sdxl"])
def test_one_over_every_linear_layer_has_a_place_for_all_of_it(
    family: str, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    components = Checkpoint.open(checkpoints[family]).components
    lora = LoraFile.open(ensure_whole_lora(tmp_path / "all.safetensors", components, 1))
    match = match_lora(lora, components)
    assert not match.left_over
    for model, targets in match.targets.items():
        expected = linears(components[model]) if model in components else []
        assert {target.parameter for target in targets} == set(expected)
        assert {target.module.rank for target in targets} <= {RANK}
    assert len(match.targets["unet"]) > len(match.targets["encoder"]) > 0


def test_one_over_transformers_leaves_the_encoders(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    components = Checkpoint.open(checkpoints["sd1"]).components
    lora = LoraFile.open(ensure_lora(tmp_path / "ink.safetensors", components["unet"], 1))
    match = match_lora(lora, components)
    assert {model for model, targets in match.targets.items() if targets} == {"unet"}
    assert not match.left_over

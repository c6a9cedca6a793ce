"""PEFT's configuration: which of its patterns is a module's, and in what time."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch

from tests.lora import making
from triptych.lora.adapters import Patterns, read_adapters


@pytest.mark.parametrize(
    ("patterns", "number"),
    [
        ({"to_q": 1, "attn1.to_q": 2}, 1),
        ({"attn1.to_q": 2, "to_q": 1, "^block.0.attn1.to_q": 3}, 2),
        ({"^block.0.attn1.to_q": 3, "to_q": 1}, 3),
        ({"n1.to_q": 1, "^attn1.to_q": 2, "attn1": 3}, 9),
        ({}, 9),
    ],
)
def test_the_first_pattern_that_fits_counts(patterns: dict[str, float], number: float) -> None:
    assert Patterns(9, patterns).of("block.0.attn1.to_q") == number


def test_many_patterns_and_many_modules_take_no_product_of_both(tmp_path: Path) -> None:
    numbers = {f"block.{number}.to_q": 2 for number in range(10_000)}
    fields = {"peft_type": "LOKR", "alpha_pattern": numbers, "rank_pattern": numbers, "feedforward_modules": [*numbers]}
    (tmp_path / "adapter_config.json").write_text(json.dumps(fields))
    path = making.save(tmp_path / "adapter_model.safetensors", {"x": torch.zeros(1)})
    config = read_adapters(path, "peft", {})[""]
    began = time.process_time()
    for number in range(8_000, 12_000):
        options = config.module_options(f"unet.block.{number}.to_q")
        assert options["is_feedforward"] == (number < 10_000)
    assert time.process_time() - began < 5

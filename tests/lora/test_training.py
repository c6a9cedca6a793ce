"""LyCORIS' rank-stabilised scales, of which no tensor of GLoRA and of a whole LoKr tells by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from tests.lora.conftest import Components
from triptych.checkpoint.safetensors import map_tensor
from triptych.lora import LoraFile, match_lora
from triptych.lora.merging import merge
from triptych.lora.training import training_options

LAYERS = {
    "mid_block.attentions.0.transformer_blocks.0.attn1.to_q": torch.nn.Linear,
    "mid_block.resnets.0.conv1": torch.nn.Conv2d,
}


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("told", [True, "True"])
@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        ("GLoRAModule", {"alpha": 2}),
        ("LokrModule", {"full_matrix": True, "alpha": 2}),
        ("LokrModule", {"alpha": 2}),
        ("LoConModule", {"alpha": 2}),
        ("LohaModule", {"alpha": 2}),
    ],
)
def test_weights_are_those_that_were_trained(
    tmp_path: Path, opened: dict[str, Components], algorithm: str, options: dict[str, Any], told: object, layer: str
) -> None:
    components = opened["sd2"]
    base = np.array(map_tensor(components["unet"].weights[f"{layer}.weight"], {}), np.float32)
    module, trained = lycoris_module(algorithm, base, options)
    tensors = {
        f"lycoris_unet_{layer.replace('.', '_')}.{end}": each for end, each in module.custom_state_dict().items()
    }
    path = tmp_path / "x.safetensors"
    metadata = {"ss_network_args": json.dumps({"algo": "any", "rs_lora": told})}
    save_file({name: each.detach().clone().contiguous() for name, each in tensors.items()}, path, metadata)
    (target,) = match_lora(LoraFile.open(path), components).targets["unet"]
    merged = merge(base, [(target, 1.0)], {})
    assert np.abs(trained - base).max() > 0.01
    np.testing.assert_allclose(merged, trained, rtol=1e-4, atol=1e-5)


def lycoris_module(algorithm: str, base: np.ndarray[Any, Any], options: dict[str, Any]) -> tuple[Any, Any]:
    """LyCORIS' own with random numbers in it, and the weight that its layer comes to: its answer to unit inputs."""
    modules = pytest.importorskip("lycoris.modules")
    outputs, inputs, *kernel = base.shape
    layer = (
        torch.nn.Conv2d(inputs, outputs, tuple(kernel), bias=False)
        if kernel
        else torch.nn.Linear(inputs, outputs, False)
    )
    layer.weight = torch.nn.Parameter(torch.from_numpy(base))
    torch.manual_seed(3)
    module = getattr(modules, algorithm)("x", layer, lora_dim=4, rs_lora=True, **options)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape))
        layer.weight.copy_(torch.from_numpy(base))
        units = torch.eye(inputs * int(np.prod(kernel, dtype=int))).reshape(-1, inputs, *kernel)
        weight = module(units).reshape(len(units), outputs).T.reshape(base.shape)
    return module, weight.numpy()


@pytest.mark.parametrize(
    "text",
    ["{}", "None", "null", "[1]", '{"rs_lora": "False"}', '{"rs_lora": false}', "[" * 100_000, '{"algo": "glora"}'],
)
def test_what_says_nothing_of_it_changes_nothing(text: str) -> None:
    assert training_options({"ss_network_args": text}) == {}


def test_a_file_without_a_note_is_scaled_plainly() -> None:
    assert training_options({}) == {}

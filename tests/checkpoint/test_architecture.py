"""Which checkpoints share an artifact; and that what is written down about diffusers' classes is still so."""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import diffusers
import pytest
import transformers

from triptych.checkpoint import Checkpoint
from triptych.checkpoint.architecture import DEFAULTS, OPTIONAL, Architecture

# Keys of the classes that shape no graph of ours.
SHAPELESS = {
    "UNet2DConditionModel": {"sample_size", "dropout"},
    "AutoencoderKL": {"sample_size", "scaling_factor", "shift_factor", "latents_mean", "latents_std", "force_upcast"},
}


@pytest.mark.parametrize("name", SHAPELESS)
def test_defaults_are_diffusers_own(name: str) -> None:
    parameters = dict(inspect.signature(getattr(diffusers, name).__init__).parameters)
    del parameters["self"]
    given = {key: parameter.default for key, parameter in parameters.items() if key not in SHAPELESS[name]}
    plain = {key: list(value) if isinstance(value, tuple) else value for key, value in given.items()}
    assert {key: value for key, value in plain.items() if value is not None} == DEFAULTS[name]
    assert {key for key, value in plain.items() if value is None} == OPTIONAL[name].keys()


def test_defaults_are_transformers_own() -> None:
    config = transformers.CLIPTextConfig().to_dict()
    assert {key: config[key] for key in DEFAULTS["CLIPTextModel"]} == DEFAULTS["CLIPTextModel"]


@pytest.mark.parametrize(
    ("model", "class_name", "irrelevant"),
    [
        ("unet", "UNet2DConditionModel", {"sample_size": 96, "_name": "x", "time_embedding_dim": None, "odd": 1}),
        ("vae_decoder", "AutoencoderKL", {"scaling_factor": 0.5, "force_upcast": False, "latents_mean": [1]}),
        ("encoder", "CLIPTextModel", {"torch_dtype": "float16", "eos_token_id": 2, "num_labels": 7, "id2label": {}}),
    ],
)
def test_what_shapes_no_graph_does_not_count(model: str, class_name: str, irrelevant: dict[str, Any]) -> None:
    plain = Architecture.of(model, class_name, {})
    assert Architecture.of(model, class_name, irrelevant) == plain
    assert Architecture.of(model, class_name, DEFAULTS[class_name]).digest() == plain.digest()
    key = next(key for key, value in DEFAULTS[class_name].items() if type(value) is int)
    other = Architecture.of(model, class_name, {key: 9})
    assert other.digest() != plain.digest()
    assert Architecture.from_canonical(other.canonical()) == other


def test_the_order_of_keys_does_not_count(checkpoints: dict[str, Path]) -> None:
    for component in Checkpoint.open(checkpoints["sd2"]).components.values():
        turned = dict(reversed(json.loads(json.dumps(dict(component.config))).items()))
        architecture = component.architecture
        assert Architecture.of(architecture.model, architecture.class_name, turned).digest() == architecture.digest()


@pytest.mark.parametrize(
    ("stated", "same"),
    [
        ({"attention_head_dim": [8, 8, 8, 8]}, {}),
        ({"transformer_layers_per_block": [2, 2, 2, 2]}, {"transformer_layers_per_block": 2}),
        ({"only_cross_attention": [False] * 4}, {"only_cross_attention": None}),
        ({"mid_block_scale_factor": 1.0, "resnet_out_scale_factor": 1}, {}),
        (
            {"block_out_channels": [32, 64], "layers_per_block": [1, 1]},
            {"block_out_channels": [32, 64], "layers_per_block": 1},
        ),
    ],
)
def test_what_means_the_same_is_the_same(stated: dict[str, Any], same: dict[str, Any]) -> None:
    first, second = (Architecture.of("unet", "UNet2DConditionModel", config) for config in (stated, same))
    assert first.digest() == second.digest()


@pytest.mark.parametrize(
    "stated",
    [
        {"attention_head_dim": [8, 8, 8]},
        {"attention_head_dim": [5, 10, 20, 20]},
        {"only_cross_attention": [True] * 4},
        {"transformer_layers_per_block": [[1, 1], [1, 1], [1, 1], [1, 1]]},
        {"reverse_transformer_layers_per_block": [1, 1, 1, 1]},
        {"attention_head_dim": [True] * 4},
    ],
)
def test_a_list_that_means_more_stays_one(stated: dict[str, Any]) -> None:
    config = Architecture.of("unet", "UNet2DConditionModel", stated).config
    assert {key: config[key] for key in stated} == stated


def test_what_a_trace_does_not_see_does_not_count() -> None:
    """Where its graph is concerned; a model still has it."""
    unets = [Architecture.of("unet", "UNet2DConditionModel", {"upcast_attention": value}) for value in (True, False)]
    assert unets[0] != unets[1] == unets[0].traced() == unets[1].traced()
    encoder = Architecture.of("encoder", "CLIPTextModel", {"vocab_size": 712})
    assert encoder.traced() == Architecture.of("encoder", "CLIPTextModel", {})

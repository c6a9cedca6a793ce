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

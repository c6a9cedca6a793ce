"""The encoder stage gives what transformers' text encoders give: every layer, normed or not, and the pooled vector."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from tests.conftest import CACHE
from triptych.checkpoint import Architecture, Component
from triptych.checkpoint.safetensors import read_header
from triptych.contract import ENCODER, ENCODER_2
from triptych.engine import EngineSettings, load_engine
from triptych.errors import InvalidArgumentError
from triptych.stage import Batch
from triptych_encoder.model import EncoderModel, SecondEncoderModel
from triptych_encoder.token_table import TokenTable

SETTINGS = EngineSettings(threads=2, cache_dir=CACHE)
EOS = 599
SHAPING: dict[str, Any] = {
    "vocab_size": 600,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 77,
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-5,
}
CLASSES = {
    "CLIPTextModel": (EncoderModel, {}),
    "CLIPTextModelWithProjection": (SecondEncoderModel, {"projection_dim": 24}),
}


def component_of(folder: Path, class_name: str, eos: int = EOS) -> Component:
    """A random text encoder as transformers saves it."""
    stage, extra = CLASSES[class_name]
    torch.manual_seed(3)
    special = {"bos_token_id": 598, "eos_token_id": eos, "pad_token_id": 0}
    config = transformers.CLIPTextConfig(**SHAPING, **extra, **special)
    getattr(transformers, class_name)(config).save_pretrained(folder)
    weights = read_header(folder / "model.safetensors")
    architecture = Architecture(stage.spec.name, class_name, SHAPING | extra)
    names = {name.removeprefix("text_model."): info for name, info in weights.items()}
    return Component(folder, architecture, json.loads((folder / "config.json").read_text()), names)


def model_of(component: Component, engine: str) -> EncoderModel:
    model = CLASSES[component.architecture.class_name][0]()
    model.component, model.device = component, "cpu"
    model.engine = load_engine(engine, component, SETTINGS)
    return model


def prompts(count: int) -> np.ndarray:
    """Words, the end at another place in each, and padding."""
    ids = np.random.default_rng(0).integers(1, 500, (count, 77))
    ids[:, 0] = 598
    for row in range(count):
        ids[row, 5 + 7 * row :] = 0
        ids[row, 5 + 7 * row] = EOS
    return ids


def run(model: EncoderModel, ids: np.ndarray, skip_layers: list[int], final_norm: list[bool]) -> Batch:
    batch = {
        "input_ids": ids,
        "skip_layers": np.array(skip_layers, np.int32)[:, None],
        "final_norm": np.array(final_norm)[:, None],
    }
    return model.run(model.prepare(batch))


@pytest.mark.parametrize("eos", [EOS, 2])
@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
@pytest.mark.parametrize("class_name", CLASSES)
def test_every_layer_is_transformers(tmp_path: Path, class_name: str, engine: str, eos: int) -> None:
    model = model_of(component_of(tmp_path, class_name, eos), engine)
    reference = getattr(transformers, class_name).from_pretrained(tmp_path)
    ids = prompts(8)
    if eos == 2:  # the highest id is the end, and 2 is a word like any other
        ids[:, 3] = 2
    with torch.no_grad():
        theirs = reference(torch.from_numpy(ids), output_hidden_states=True)
        norm = getattr(reference, "text_model", reference).final_layer_norm
        states = [theirs.hidden_states[-1 - skip] for skip in (0, 1, 2, 3)]
        wanted = [norm(states[row % 4])[row] if row < 4 else states[row % 4][row] for row in range(8)]
    ours = run(model, ids, [0, 1, 2, 3] * 2, [True] * 4 + [False] * 4)
    np.testing.assert_allclose(ours["hidden_states"], torch.stack(wanted).numpy(), atol=2e-5)
    pooled = theirs.text_embeds if class_name == "CLIPTextModelWithProjection" else theirs.pooler_output
    np.testing.assert_allclose(ours["pooled"], pooled.numpy(), atol=2e-5)
    assert ours["hidden_states"].std() > 0.01 and ours["pooled"].std() > 0.01


def test_what_is_not_asked_is_the_last_layer_normed(tmp_path: Path) -> None:
    model = model_of(component_of(tmp_path, "CLIPTextModel"), "onnxruntime")
    plain = model.run(model.prepare({"input_ids": prompts(2)}))
    asked = run(model, prompts(2), [0, 0], [True, True])
    assert all(np.array_equal(plain[name], asked[name]) for name in asked)


@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
def test_a_prompt_does_not_depend_on_its_company(tmp_path: Path, engine: str) -> None:
    model = model_of(component_of(tmp_path, "CLIPTextModelWithProjection"), engine)
    ids = prompts(8)
    alone = [model.run(model.prepare({"input_ids": ids[row : row + 1]})) for row in range(8)]
    for count in range(1, 9):
        for order in (list(range(count)), list(reversed(range(count)))):
            together = model.run(model.prepare({"input_ids": ids[order]}))
            for place, row in enumerate(order):
                for name, array in together.items():
                    assert np.array_equal(array[place], alone[row][name][0])


def test_layers_that_there_are_not(tmp_path: Path) -> None:
    model = EncoderModel()
    model.component = component_of(tmp_path, "CLIPTextModel")
    for skip in (-1, 4):
        with pytest.raises(InvalidArgumentError, match="skip_layers: must be from 0 to the 3 that there are"):
            model.prepare({"input_ids": prompts(1), "skip_layers": np.array([[skip]], np.int32)})


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
def test_rows_are_the_tables(tmp_path: Path, dtype: torch.dtype) -> None:
    component = component_of(tmp_path, "CLIPTextModel")
    path = tmp_path / "model.safetensors"
    tensors = {name: tensor.to(dtype) for name, tensor in load_file(path).items()}
    save_file(tensors, path)
    stored = Component(component.place, component.architecture, component.config, read_header(path))
    rows = TokenTable(stored).rows(np.array([[5, 599, 5]]))
    expected = tensors["embeddings.token_embedding.weight"][[5, 599, 5]].float().numpy()
    assert rows.dtype == np.float32 and np.array_equal(rows[0], expected)


def test_the_two_have_models_of_their_own() -> None:
    assert (EncoderModel.spec, SecondEncoderModel.spec) == (ENCODER, ENCODER_2)
    assert ENCODER_2.inputs == ENCODER.inputs and ENCODER_2.outputs == ENCODER.outputs

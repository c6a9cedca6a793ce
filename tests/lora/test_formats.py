"""The same factors in every format: all find their parameters, and merge to the same weights."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.lora import making
from tests.lora.conftest import Components
from triptych.checkpoint.safetensors import map_tensor
from triptych.contract import LORA_MODELS
from triptych.errors import LoraInvalidError
from triptych.lora import LoraFile, find_targets, match_lora, merge

FORMATS: dict[str, tuple[str, Callable[[making.Lora], making.Tensors], dict[str, Any]]] = {
    "kohya": ("kohya", making.kohya, {}),
    "kohya, first encoder": (
        "kohya",
        lambda lora: making.kohya(lora, {"encoder": "lora_te1_text_model", "unet": "lora_unet"}),
        {},
    ),
    "diffusers": ("diffusers", making.diffusers, {}),
    "diffusers, flat encoder": ("diffusers", lambda lora: making.diffusers(lora, text_model=""), {}),
    "diffusers without alpha": (
        "diffusers",
        lambda lora: making.diffusers(lora, alphas=False),
        {"alpha": None},
    ),
    "old diffusers": ("diffusers", making.old_diffusers, {"alpha": None, "only": making.attention_only}),
    "old diffusers without unet": (
        "diffusers",
        lambda lora: making.old_diffusers(lora, unet=""),
        {"alpha": None, "only": making.attention_only},
    ),
    "peft": ("peft", making.peft, {"alpha": None}),
    "peft with an adapter's name": ("peft", lambda lora: making.peft(lora, "default."), {"alpha": None}),
    "peft of one model": ("peft", lambda lora: making.peft(lora, prefix=""), {"alpha": None}),
}


def check(path: Path, components: Components, lora: making.Lora, weight: float = 0.7) -> LoraFile:
    """Every parameter is found, nothing is left over, and merging is the formula."""
    opened = LoraFile.open(path)
    match = match_lora(opened, components)
    assert match.left_over == ()
    assert match.targets.keys() == set(LORA_MODELS)
    for model, targets in match.targets.items():
        assert {target.parameter for target in targets} == making.names(lora, model)
        for target in targets:
            base = map_tensor(components[model].weights[target.parameter], {}).astype(np.float32)
            expected = base + weight * lora[model, target.parameter].delta.numpy().reshape(base.shape)
            merged = merge(base, [(target, weight)], {})
            np.testing.assert_allclose(merged, expected, rtol=0, atol=2e-6 * max(1, abs(expected).max()))
    return opened


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", FORMATS)
def test_every_format(tmp_path: Path, opened: dict[str, Components], name: str, dtype: torch.dtype) -> None:
    file_format, write, settings = FORMATS[name]
    lora = making.random_lora(opened["sd1"], dtype=dtype, **settings)
    read = check(making.save(tmp_path / "x.safetensors", write(lora)), opened["sd1"], lora)
    assert (read.format, read.rank, read.unknown) == (file_format, 4, ())


@pytest.mark.parametrize(("made_for", "used_with"), [("sd1", "sd2"), ("sd2", "sd1")])
def test_a_matrix_and_a_1x1_convolution_are_the_same(
    tmp_path: Path, opened: dict[str, Components], made_for: str, used_with: str
) -> None:
    lora = making.random_lora(opened[made_for], only=lambda model, parameter: "proj_in" in parameter)
    check(making.save(tmp_path / "x.safetensors", making.kohya(lora)), opened[used_with], lora)


def test_old_names_of_the_text_encoders_attention(tmp_path: Path, opened: dict[str, Components]) -> None:
    lora = making.random_lora(
        opened["sd1"], alpha=None, only=lambda model, parameter: model == "encoder" and "self_attn" in parameter
    )
    tensors = making.old_diffusers(lora)
    for new, old in {"q_proj.lora_linear_layer": "to_q_lora", "out_proj.lora_linear_layer": "to_out_lora"}.items():
        tensors = {name.replace(new, old): tensor for name, tensor in tensors.items()}
    check(making.save(tmp_path / "x.safetensors", tensors), opened["sd1"], lora)


def test_alpha_may_be_any_kind_of_number(tmp_path: Path, opened: dict[str, Components]) -> None:
    lora = making.random_lora(opened["sd1"])
    for alpha in (torch.tensor(2), torch.tensor([2.0], dtype=torch.float16), torch.tensor(2.0, dtype=torch.float64)):
        tensors = {
            name: alpha.clone() if name.endswith(".alpha") else tensor for name, tensor in making.kohya(lora).items()
        }
        check(making.save(tmp_path / "x.safetensors", tensors), opened["sd1"], lora)


def test_alphas_in_diffusers_metadata(tmp_path: Path, opened: dict[str, Components]) -> None:
    special = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    lora = {
        (model, parameter): making.Factors(
            factors.down,
            factors.up,
            6.0 if parameter == f"{special}.weight" else {"encoder": 3.0 * math.sqrt(4), "unet": 2.0}[model],
        )
        for (model, parameter), factors in making.random_lora(opened["sd1"]).items()
    }
    adapter = {
        "unet.r": 4,
        "unet.lora_alpha": 2,
        "unet.alpha_pattern": {special: 6},
        "unet.rank_pattern": {},
        "unet.use_rslora": False,
        "text_encoder.r": 4,
        "text_encoder.lora_alpha": 3,
        "text_encoder.use_rslora": True,
    }
    path = making.save(tmp_path / "x.safetensors", making.diffusers(lora, alphas=False), adapter)
    check(path, opened["sd1"], lora)


@pytest.mark.parametrize(
    ("pattern", "hit"),
    [
        ("attn1.to_q", True),
        ("to_q", True),
        (r"attn1\.to_q", True),
        ("n1.to_q", False),
        ("^attn1.to_q", False),
        ("^down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q$", True),
    ],
)
def test_peft_configuration_beside_the_file(
    tmp_path: Path, opened: dict[str, Components], pattern: str, hit: bool
) -> None:
    lora = making.random_lora(
        opened["sd1"], alpha=6.0 if hit else 2.0, only=lambda model, parameter: parameter.endswith("attn1.to_q.weight")
    )
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 2, "alpha_pattern": {pattern: 6}, "use_rslora": False}
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    check(making.save(tmp_path / "adapter_model.safetensors", making.peft(lora)), opened["sd1"], lora)


CONFIGURATIONS: dict[str, dict[str, Any] | list[int]] = {
    "an expression": {"alpha_pattern": {"(a+)+": 1}},
    "no object": [1],
    "a pattern that is none": {"alpha_pattern": [1]},
    "text": {"lora_alpha": "1"},
    "true": {"lora_alpha": True},
    "infinite": {"lora_alpha": math.inf},
    "no number": {"alpha_pattern": {"to_q": math.nan}},
    "VeRA": {"peft_type": "VERA"},
    "rows of a table": {"trainable_token_indices": [1]},
    "rank 0": {"peft_type": "LOKR", "r": 0},
    "modules by an expression": {"peft_type": "IA3", "feedforward_modules": ".*ff"},
    "more terms than are of use": {"peft_type": "OFT", "num_cayley_neumann_terms": 17},
    "terms without end": {"peft_type": "OFT", "num_cayley_neumann_terms": 1e9},
    "PiSSA": {"init_lora_weights": "pissa_niter_4"},
}


@pytest.mark.parametrize("config", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_configurations_that_are_refused(tmp_path: Path, opened: dict[str, Components], config: Any) -> None:
    lora = making.random_lora(opened["sd1"])
    path = making.save(tmp_path / "x.safetensors", making.peft(lora), adapter=config)
    with pytest.raises(LoraInvalidError) as caught:
        LoraFile.open(path)
    assert caught.value.metadata["file"] == str(path)
    making.save(path, making.peft(lora))
    (tmp_path / "adapter_config.json").write_text(json.dumps(config))
    with pytest.raises(LoraInvalidError) as caught:
        LoraFile.open(path)
    assert caught.value.metadata["file"] == str(tmp_path / "adapter_config.json")


def test_dora_without_magnitudes_is_refused(tmp_path: Path, opened: dict[str, Components]) -> None:
    lora = making.random_lora(opened["sd1"])
    path = making.save(tmp_path / "x.safetensors", making.peft(lora), adapter={"use_dora": True})
    with pytest.raises(LoraInvalidError, match="lora_magnitude_vector is missing, and its configuration says use_dora"):
        LoraFile.open(path)


def test_one_model_alone(tmp_path: Path, opened: dict[str, Components]) -> None:
    lora = making.random_lora(opened["sd1"])
    read = LoraFile.open(making.save(tmp_path / "x.safetensors", making.kohya(lora)))
    match = match_lora(read, {"unet": opened["sd1"]["unet"]})
    assert match.targets["encoder"] == ()
    assert len(match.targets["unet"]) == len(making.PARAMETERS["unet"])
    assert len(match.left_over) == len(making.PARAMETERS["encoder"])
    assert all(key.startswith("lora_te_") for key in match.left_over)
    assert find_targets(read, "vae_decoder", opened["sd1"]["vae_decoder"]) == ()


def test_a_file_for_the_other_model_has_no_targets_here(tmp_path: Path, opened: dict[str, Components]) -> None:
    lora = making.random_lora(opened["sd1"], only=lambda model, parameter: model == "encoder")
    read = LoraFile.open(making.save(tmp_path / "x.safetensors", making.kohya(lora)))
    assert find_targets(read, "unet", opened["sd1"]["unet"]) == ()
    with pytest.raises(LoraInvalidError, match="none of its 3 modules"):
        match_lora(read, {"unet": opened["sd1"]["unet"]})

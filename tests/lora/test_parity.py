"""Merged weights equal those of diffusers' `load_lora_weights` and `fuse_lora`, where peft is installed."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.lora import making
from tests.lora.conftest import Components
from tests.loras import save_lora
from triptych.checkpoint import Component
from triptych.checkpoint.safetensors import map_tensor
from triptych.checkpoint.weights import canonical_name
from triptych.lora import LoraFile, match_lora, merge
from triptych.lora.parameters import exchangeable, original_names

pytest.importorskip("peft")

CLASSES = {
    "encoder": ("text_encoder", "CLIPTextModel"),
    "encoder_2": ("text_encoder_2", "CLIPTextModelWithProjection"),
    "unet": ("unet", "UNet2DConditionModel"),
}
PIPELINES = {"sd1": "StableDiffusionPipeline", "sd2": "StableDiffusionPipeline", "sdxl": "StableDiffusionXLPipeline"}
WEIGHT = 0.8


def metadata(parameters: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    """As diffusers writes it: each model with an alpha of its own, and one module with another."""
    return {
        f"{making.PREFIXES[model]}.{field}": value
        for model, names in parameters.items()
        for field, value in {
            "r": 4,
            "lora_alpha": 5 if model == "encoder_2" else 3,
            "use_rslora": model == "encoder",
            "alpha_pattern": {"mid_block.resnets.1.conv2": 7} if model == "unet" else {},
            "target_modules": [name.removesuffix(".weight") for name in names],
        }.items()
    }


CASES: dict[str, tuple[Callable[[making.Lora], making.Tensors], dict[str, Any], Any]] = {
    "kohya": (making.kohya, {}, None),
    "diffusers": (lambda lora: making.diffusers(lora, alphas=False), {}, None),
    "diffusers with metadata": (
        lambda lora: making.diffusers(lora, text_model="", alphas=False),
        {},
        metadata(making.PARAMETERS),
    ),
    "old diffusers": (making.old_diffusers, {"only": making.attention_only}, None),
    "peft": (
        lambda lora: making.peft(lora, prefix="unet."),
        {"only": lambda model, parameter: model == "unet"},
        None,
    ),
}


SDXL_CASES: dict[str, tuple[Callable[[making.Lora, Components], making.Tensors], dict[str, Any], Any]] = {
    "kohya": (lambda lora, _: making.kohya_sdxl(lora), {}, None),
    "kohya, original unet": (
        lambda lora, components: making.kohya_sdxl(lora, original_names(components["unet"])),
        {},
        None,
    ),
    "diffusers": (lambda lora, _: making.diffusers(lora, alphas=False), {}, None),
    "diffusers with metadata": (
        lambda lora, _: making.diffusers(lora, text_model="", alphas=False),
        {},
        metadata(making.SDXL_PARAMETERS),
    ),
    "old diffusers": (lambda lora, _: making.old_diffusers(lora), {"only": making.attention_only}, None),
}


def fused(checkpoint: Path, family: str, file: Path) -> dict[str, dict[str, torch.Tensor]]:
    """All parameters by our model and canonical name, after diffusers has fused the LoRA."""
    import diffusers

    without = {} if family == "sdxl" else {"safety_checker": None}
    pipe = getattr(diffusers, PIPELINES[family]).from_pretrained(checkpoint, **without)
    pipe.load_lora_weights(file.parent, weight_name=file.name)
    pipe.fuse_lora(lora_scale=WEIGHT)
    return {
        model: {
            canonical_name(class_name, name.replace(".base_layer", "")): tensor
            for name, tensor in getattr(pipe, attribute).state_dict().items()
        }
        for model, (attribute, class_name) in CLASSES.items()
        if hasattr(pipe, attribute)
    }


@pytest.mark.parametrize("family", ["sd1", "sd2"])
@pytest.mark.parametrize("case", CASES)
def test_parity_with_diffusers(
    tmp_path: Path, checkpoints: dict[str, Path], opened: dict[str, Components], case: str, family: str
) -> None:
    write, settings, adapter = CASES[case]
    lora = making.random_lora(opened[family], alpha=2.0, **settings)
    file = making.save(tmp_path / "x.safetensors", write(lora), adapter)
    check(checkpoints[family], family, file, opened[family], lora)


@pytest.mark.parametrize("case", SDXL_CASES)
def test_parity_with_diffusers_for_sdxl(tmp_path: Path, sdxl: Path, opened: dict[str, Components], case: str) -> None:
    write, settings, adapter = SDXL_CASES[case]
    lora = making.random_lora(opened["sdxl"], alpha=2.0, family="sdxl", **settings)
    file = making.save(tmp_path / "x.safetensors", write(lora, opened["sdxl"]), adapter)
    check(sdxl, "sdxl", file, opened["sdxl"], lora)


def test_parity_with_diffusers_in_all_of_sdxl(tmp_path: Path, sdxl: Path, opened: dict[str, Components]) -> None:
    components = opened["sdxl"]
    file = save_lora(tmp_path / "x.safetensors", sdxl)
    everything = [(model, name) for model in CLASSES for name in matrices(components[model])]
    check(sdxl, "sdxl", file, components, everything)


def matrices(component: Component) -> list[str]:
    return [name for name in exchangeable(component) if len(component.weights[name].shape) > 1]


def check(checkpoint: Path, family: str, file: Path, components: Components, lora: Collection[tuple[str, str]]) -> None:
    """Every weight of every model is diffusers' own, and all that the LoRA changes have changed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = fused(checkpoint, family, file)
    match = match_lora(LoraFile.open(file), components)
    assert match.left_over == ()
    assert theirs.keys() == components.keys() & CLASSES.keys()
    for model in theirs:
        targets = {target.parameter: target for target in match.targets[model]}
        assert targets.keys() == making.names(lora, model)
        for name, info in components[model].weights.items():
            base = map_tensor(info, {}).astype(np.float32)
            ours = merge(base, [(targets[name], WEIGHT)], {}) if name in targets else base
            expected = theirs[model][name].numpy()
            np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-6, err_msg=name)
            assert name not in targets or abs(expected - base).max() > 1e-3

"""Merged weights equal those of diffusers' `load_lora_weights` and `fuse_lora`, where peft is installed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.lora import making
from tests.lora.conftest import Components
from triptych.checkpoint.safetensors import map_tensor
from triptych.checkpoint.weights import canonical_name
from triptych.lora import LoraFile, match_lora, merge

pytest.importorskip("peft")

CLASSES = {"encoder": ("text_encoder", "CLIPTextModel"), "unet": ("unet", "UNet2DConditionModel")}
WEIGHT = 0.8
METADATA = {
    f"{prefix}.{field}": value
    for prefix, targets in (("unet", "unet"), ("text_encoder", "encoder"))
    for field, value in {
        "r": 4,
        "lora_alpha": 3,
        "use_rslora": targets == "encoder",
        "alpha_pattern": {"mid_block.resnets.1.conv2": 7} if targets == "unet" else {},
        "target_modules": [name.removesuffix(".weight") for name in making.PARAMETERS[targets]],
    }.items()
}
CASES: dict[str, tuple[Callable[[making.Lora], making.Tensors], dict[str, Any], Any]] = {
    "kohya": (making.kohya, {}, None),
    "diffusers": (lambda lora: making.diffusers(lora, alphas=False), {}, None),
    "diffusers with metadata": (lambda lora: making.diffusers(lora, text_model="", alphas=False), {}, METADATA),
    "old diffusers": (making.old_diffusers, {"only": making.attention_only}, None),
    "peft": (
        lambda lora: making.peft(lora, prefix="unet."),
        {"only": lambda model, parameter: model == "unet"},
        None,
    ),
}


def fused(checkpoint: Path, file: Path) -> dict[str, dict[str, torch.Tensor]]:
    """All parameters by our model and canonical name, after diffusers has fused the LoRA."""
    from diffusers import StableDiffusionPipeline

    pipe = StableDiffusionPipeline.from_pretrained(checkpoint, safety_checker=None)
    pipe.load_lora_weights(file.parent, weight_name=file.name)
    pipe.fuse_lora(lora_scale=WEIGHT)
    return {
        model: {
            canonical_name(class_name, name.replace(".base_layer", "")): tensor
            for name, tensor in getattr(pipe, attribute).state_dict().items()
        }
        for model, (attribute, class_name) in CLASSES.items()
    }


@pytest.mark.parametrize("family", ["sd1", "sd2"])
@pytest.mark.parametrize("case", CASES)
def test_parity_with_diffusers(
    tmp_path: Path, checkpoints: dict[str, Path], opened: dict[str, Components], case: str, family: str
) -> None:
    write, settings, adapter = CASES[case]
    lora = making.random_lora(opened[family], alpha=2.0, **settings)
    file = making.save(tmp_path / "x.safetensors", write(lora), adapter)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = fused(checkpoints[family], file)
    match = match_lora(LoraFile.open(file), opened[family])
    assert match.left_over == ()
    for model in CLASSES:
        targets = {target.parameter: target for target in match.targets[model]}
        assert targets.keys() == making.names(lora, model)
        for name, info in opened[family][model].weights.items():
            base = map_tensor(info, {}).astype(np.float32)
            ours = merge(base, [(targets[name], WEIGHT)], {}) if name in targets else base
            expected = theirs[model][name].numpy()
            np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-6, err_msg=name)
            assert name not in targets or abs(expected - base).max() > 1e-3

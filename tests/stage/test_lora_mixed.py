"""Adapters of unlike algorithms in one engine: against the base each, summed, biases and norms too, and out again."""

from __future__ import annotations

import hashlib
import itertools
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.lora import making
from tests.lora.algorithms.formulas import ALGORITHMS, Made, norm
from tests.stage.test_lora_sets import INPUTS, SETTINGS, at, noise_pred, swap
from triptych.checkpoint import Checkpoint
from triptych.contract import LoraWeight
from triptych.engine import load_engine
from triptych.engine.weights import map_files
from triptych.stage.lora_sets import LoraSets

MIXED = ("LoRA", "LoKr with DoRA on input", "OFT, rescaled", "(IA)^3", "full", "norm")
SHARED = "mid_block.resnets.0.conv1"
MATRIX = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0"
NORM = "mid_block.resnets.0.norm2"
Changes = Mapping[str, Mapping[str, Made]]


@pytest.fixture(scope="module")
def made(checkpoints: dict[str, Path]) -> Changes:
    """What each algorithm makes of the same two layers, and of a norm."""
    weights = Checkpoint.open(checkpoints["sd1"]).components["unet"].weights
    chance = torch.Generator().manual_seed(5)
    return {
        name: {NORM: norm(weights[f"{NORM}.weight"].shape, chance)}
        if name == "norm"
        else {layer: ALGORITHMS[name](weights[f"{layer}.weight"].shape, chance) for layer in (SHARED, MATRIX)}
        for name in MIXED
    }


@pytest.fixture(scope="module")
def files(made: Changes, tmp_path_factory: pytest.TempPathFactory) -> dict[str, LoraWeight]:
    folder = tmp_path_factory.mktemp("mixed")
    found = {}
    for number, (name, layers) in enumerate(made.items()):
        tensors = {
            f"lora_unet_{layer.replace('.', '_')}.{end}": tensor.clone()
            for layer, each in layers.items()
            for end, tensor in each.tensors.items()
        }
        path = making.save(folder / f"{number}.safetensors", tensors)
        found[name] = LoraWeight(hashlib.sha256(path.read_bytes()).hexdigest(), str(path), 1.0)
    return found


def merged_checkpoint(source: Path, folder: Path, made: Changes, weights: Mapping[str, float]) -> Path:
    """The checkpoint with W + sum of weight * (f(W) - W), in double precision."""
    shutil.copytree(source, folder)
    file = Path("unet") / "diffusion_pytorch_model.safetensors"
    tensors = load_file(source / file)
    summed = {name: tensor.double() for name, tensor in tensors.items()}
    for name, weight in weights.items():
        for layer, each in made[name].items():
            for role, change in (("weight", each.weight), ("bias", each.bias)):
                if change is not None:
                    own = tensors[f"{layer}.{role}"].double()
                    summed[f"{layer}.{role}"] += weight * (change(own) - own)
    save_file({name: tensor.float() for name, tensor in summed.items()}, folder / file)
    return folder


@pytest.mark.parametrize(
    ("engine_name", "mixtures"), [("onnxruntime", (MIXED, ("norm",), ("full", "LoRA"))), ("torch", (MIXED,))]
)
def test_unlike_algorithms_mix_and_leave_no_trace(
    checkpoints: dict[str, Path],
    tmp_path: Path,
    made: Changes,
    files: dict[str, LoraWeight],
    engine_name: str,
    mixtures: tuple[tuple[str, ...], ...],
) -> None:
    component = Checkpoint.open(checkpoints["sd1"]).components["unet"]
    engine = load_engine(engine_name, component, SETTINGS)
    base = noise_pred(engine)
    sets = LoraSets(engine, component, map_files(component), 1 << 30)
    weights = {name: weight for name, weight in zip(files, itertools.cycle((0.7, -0.3, 1.0)), strict=False)}
    for number, chosen in enumerate(mixtures):
        asked = {name: weights[name] for name in chosen}
        folder = merged_checkpoint(checkpoints["sd1"], tmp_path / str(number), made, asked)
        reference = load_engine("torch", Checkpoint.open(folder).components["unet"], SETTINGS)
        expected = reference.infer(INPUTS)["noise_pred"]
        outputs = []
        for order in (chosen, chosen[::-1]):
            swap(sets, *(at(files[name], asked[name]) for name in order))
            outputs.append(noise_pred(engine))
            np.testing.assert_allclose(outputs[-1], expected, atol=2e-4, rtol=2e-4)
        assert abs(outputs[0] - base).max() > 0.01
        swap(sets, *(at(files[name], asked[name]) for name in chosen))
        assert np.array_equal(noise_pred(engine), outputs[0])  # the same set, the same bits
        swap(sets)
        assert np.array_equal(noise_pred(engine), base)
    sets.close()


def test_each_alone_at_weight_one_is_what_it_was_trained_to(
    checkpoints: dict[str, Path], made: Changes, files: dict[str, LoraWeight]
) -> None:
    component = Checkpoint.open(checkpoints["sd1"]).components["unet"]
    sets = LoraSets(load_engine("onnxruntime", component, SETTINGS), component, map_files(component), 1 << 30)
    own = load_file(component.place / "diffusion_pytorch_model.safetensors")
    for name, lora in files.items():
        merged = sets.require(swap(sets, lora), None).weights
        for layer, each in made[name].items():
            assert each.weight is not None
            expected = each.weight(own[f"{layer}.weight"].double())
            np.testing.assert_allclose(merged[f"{layer}.weight"], expected.numpy(), atol=1e-5, rtol=1e-5)
    sets.close()

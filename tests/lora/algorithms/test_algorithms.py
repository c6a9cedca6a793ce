"""Every algorithm, by every writer, for every family: merged, it is what its publication says; LyCORIS agrees."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from tests.lora import making
from tests.lora.algorithms.formulas import ALGORITHMS, Made, Tensors, norm
from tests.lora.algorithms.writers import WRITERS, Writer
from tests.lora.conftest import Components
from triptych.checkpoint.safetensors import map_tensor
from triptych.lora import LoraFile, match_lora, merge

FAMILIES = ("sd1", "sd2", "sdxl")
WEIGHT = 0.7
# A matrix, a projection that is a convolution in one family and a matrix in the others, and a true convolution.
LAYERS = {
    "sd1": {
        "encoder": ("encoder.layers.0.self_attn.q_proj", "encoder.layers.1.mlp.fc1"),
        "unet": (
            "down_blocks.0.attentions.0.proj_in",
            "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k",
            "mid_block.attentions.0.transformer_blocks.0.attn1.to_out.0",
            "mid_block.resnets.1.conv2",
        ),
    },
    "sdxl": {
        "encoder": ("encoder.layers.0.self_attn.q_proj",),
        "encoder_2": ("encoder.layers.3.self_attn.out_proj", "encoder.layers.2.mlp.fc2"),
        "unet": (
            "down_blocks.1.attentions.0.proj_in",
            "up_blocks.1.attentions.1.transformer_blocks.0.ff.net.2",
            "mid_block.resnets.1.conv2",
        ),
    },
}
NORMS = {
    "sd1": {
        "encoder": ("encoder.layers.1.layer_norm2", "final_layer_norm"),
        "unet": ("conv_norm_out", "mid_block.resnets.0.norm2", "down_blocks.0.attentions.0.transformer_blocks.0.norm3"),
    },
    "sdxl": {
        "encoder": ("final_layer_norm",),
        "encoder_2": ("encoder.layers.1.layer_norm1",),
        "unet": ("conv_norm_out", "down_blocks.1.attentions.0.norm", "up_blocks.0.resnets.1.norm1"),
    },
}
NORMS["sd2"], LAYERS["sd2"] = NORMS["sd1"], LAYERS["sd1"]

Changes = Mapping[tuple[str, str], Made]


def changes(algorithm: str, family: str, components: Components) -> Changes:
    maker, layers = (norm, NORMS) if algorithm == "norm" else (ALGORITHMS[algorithm], LAYERS)
    chance = torch.Generator().manual_seed(len(algorithm))
    return {
        (model, layer): maker(components[model].weights[f"{layer}.weight"].shape, chance)
        for model, names in layers[family].items()
        for layer in names
    }


def written(made: Changes, writer: Writer, components: Components) -> Tensors:
    """Biases where the layer has none are left out, as LyCORIS does."""
    return {
        f"{writer(components, model, layer)}.{end}": tensor.clone()
        for (model, layer), each in made.items()
        for end, tensor in each.tensors.items()
        if end != "diff_b" or f"{layer}.bias" in components[model].weights
    }


def check(path: Path, made: Changes, components: Components, merged: int) -> LoraFile:
    """No parameter is found but those that are changed, and the first `merged` are what their formulas make of them."""
    opened = LoraFile.open(path)
    match = match_lora(opened, components)
    assert match.left_over == ()
    expected = {
        (model, f"{layer}.{role}"): change
        for (model, layer), each in made.items()
        for role, change in (("weight", each.weight), ("bias", each.bias))
        if change is not None and f"{layer}.{role}" in components[model].weights
    }
    targets = {(model, target.parameter): target for model, found in match.targets.items() for target in found}
    assert targets.keys() == expected.keys()
    for (model, parameter), target in list(targets.items())[:merged]:
        base = map_tensor(components[model].weights[parameter], {}).astype(np.float32)
        own = torch.tensor(base).double()
        changed = own + WEIGHT * (expected[model, parameter](own) - own)
        ours = merge(base, [(target, WEIGHT)], {})
        np.testing.assert_allclose(ours, changed.numpy(), rtol=1e-5, atol=2e-6 * max(1, float(changed.abs().max())))
        assert abs(ours - base).max() > 1e-3
    return opened


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("algorithm", [*ALGORITHMS, "norm"])
def test_every_algorithm_writer_and_family(
    tmp_path: Path, opened: dict[str, Components], algorithm: str, family: str
) -> None:
    components = opened[family]
    made = changes(algorithm, family, components)
    for number, writer in enumerate(WRITERS.values()):
        path = making.save(tmp_path / f"{number}.safetensors", written(made, writer, components))
        read = check(path, made, components, merged=1 if number else len(made) * 2)
        (kind,) = read.kinds
        assert kind == algorithm.partition(",")[0].partition(" on input")[0]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.float8_e5m2], ids=str)
@pytest.mark.parametrize("algorithm", ["LoRA", "LoHa", "LoKr", "OFT", "LoRA with DoRA"])
def test_numbers_of_every_type_are_read_as_they_are(
    tmp_path: Path, opened: dict[str, Components], algorithm: str, dtype: torch.dtype
) -> None:
    components = opened["sd1"]
    made = changes(algorithm, "sd1", components)
    tensors = written(made, WRITERS["kohya"], components)
    narrow = {name: each if name.endswith("alpha") else each.to(dtype) for name, each in tensors.items()}
    wide = {name: each.float() for name, each in narrow.items()}
    results = []
    for name, each in (("narrow", narrow), ("wide", wide)):
        match = match_lora(LoraFile.open(making.save(tmp_path / name, each)), components)
        target = match.targets["unet"][-1]
        base = map_tensor(components["unet"].weights[target.parameter], {}).astype(np.float32)
        results.append(merge(base, [(target, WEIGHT)], {}))
    assert np.array_equal(*results)


# But for LoKr in Tucker form, whose factors its reader takes the wrong way around.
LYCORIS = {
    "LoRA": "LoConModule",
    "LoRA, Tucker": "LoConModule",
    "LoHa": "LohaModule",
    "LoHa, Tucker": "LohaModule",
    "LoKr": "LokrModule",
    "LoKr, whole": "LokrModule",
    "(IA)^3": "IA3Module",
    "full": "FullModule",
    "OFT": "DiagOFTModule",
    "OFT, constrained": "DiagOFTModule",
    "OFT, rescaled": "DiagOFTModule",
    "BOFT": "ButterflyOFTModule",
    "GLoRA": "GLoRAModule",
    "LoRA with DoRA": "LoConModule",
    "LoHa with DoRA": "LohaModule",
    "norm": "NormModule",
}


@pytest.mark.parametrize("algorithm", LYCORIS)
def test_lycoris_agrees_with_the_formulas(algorithm: str) -> None:
    """Its modules beside the untouched layer do what a layer with the formula's weights does."""
    modules = pytest.importorskip("lycoris.modules")
    chance = torch.Generator().manual_seed(1)
    if algorithm == "norm":
        layers: list[tuple[torch.nn.Module, torch.Tensor]] = [(torch.nn.LayerNorm(16), torch.randn(3, 16))]
    else:
        layers = [
            (torch.nn.Linear(128, 256), torch.randn(5, 128)),
            (torch.nn.Conv2d(128, 256, 3, padding=1), torch.randn(1, 128, 4, 4)),
        ]
    for layer, inputs in layers:
        weight = layer.get_parameter("weight")
        made = (norm if algorithm == "norm" else ALGORITHMS[algorithm])(tuple(weight.shape), chance)
        kind, parts = modules.get_module({f"x.{end}": tensor for end, tensor in made.tensors.items()}, "x")
        assert kind.__name__ == LYCORIS[algorithm]
        if algorithm == "(IA)^3":
            parts = parts[:1]
        module = modules.make_module(kind, parts, "x", layer)
        with torch.no_grad():
            theirs = module(inputs)
            assert made.weight is not None
            bias = layer.get_parameter("bias").double()
            changed = made.weight(weight.double()).float(), (made.bias(bias) if made.bias else bias).float()
            if isinstance(layer, torch.nn.Conv2d):
                ours = F.conv2d(inputs, *changed, padding=1)
            elif isinstance(layer, torch.nn.Linear):
                ours = F.linear(inputs, *changed)
            else:
                ours = F.layer_norm(inputs, (16,), *changed)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4 * float(theirs.abs().max()))

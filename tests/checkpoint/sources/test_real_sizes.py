"""Files of the real checkpoints' sizes, with nothing in them: their architectures are those that diffusers has."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers

from tests.checkpoint.sources.test_single_file import write_sparse
from tests.single_files import KINDS, original, original_control_net
from triptych.checkpoint import Architecture, Checkpoint
from triptych.engine.cache.artifacts import find_graph, is_shipped
from triptych.engine.modules import build_module, parameter_names
from triptych.engine.onnxruntime.engine import open_graph
from triptych.measuring.checkpoints import SIZES, Size
from triptych_orchestrator.library.entry import Entry

CLIP = {"vocab_size": 49_408, "hidden_size": 768, "intermediate_size": 3072, "num_attention_heads": 12}
REFINER = {
    **SIZES["sdxl"].unet,
    "block_out_channels": (384, 768, 1536, 1536),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": 4,
    "attention_head_dim": (6, 12, 24, 24),
    "cross_attention_dim": 1280,
    "projection_class_embeddings_input_dim": 2560,
}
REAL = {
    "sd1": SIZES["sd15"],
    "sd2": SIZES["sd21"],
    "sdxl": SIZES["sdxl"],
    "refiner": Size(unet=REFINER, vae=SIZES["sdxl"].vae, second_text=SIZES["sdxl"].second_text),
}


def models(name: str, size: Size) -> dict[str, Any]:
    """diffusers' and transformers' own, without memory."""
    made: dict[str, Any] = {}
    with torch.device("meta"):
        if name != "refiner":
            config = transformers.CLIPTextConfig(**{**CLIP, "num_hidden_layers": 12, **size.text})
            made["text_encoder"] = transformers.CLIPTextModel(config)
        if size.second_text:
            second = transformers.CLIPTextConfig(**{**CLIP, **size.second_text})
            made["text_encoder_2"] = transformers.CLIPTextModelWithProjection(second)
        unet = {"sample_size": 64, "cross_attention_dim": 768, "attention_head_dim": 8, **size.unet}
        made["unet"] = diffusers.UNet2DConditionModel(**unet)
        made["vae"] = diffusers.AutoencoderKL(
            block_out_channels=(128, 256, 512, 512),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            latent_channels=4,
        )
    return made


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Path, dict[str, Any]]]:
    """A file of a kind, made when first asked for, and the models that it is of."""
    root, made = tmp_path_factory.mktemp("real"), {}

    def file(name: str) -> tuple[Path, dict[str, Any]]:
        if name not in made:
            parts, path = models(name, REAL[name]), root / f"{name}.safetensors"
            write_sparse(path, {key: list(tensor.shape) for key, tensor in original(parts, KINDS[name]).items()})
            made[name] = path, parts
        return made[name]

    return file


@pytest.mark.parametrize("name", REAL)
def test_a_real_file_has_the_architecture_that_diffusers_has(
    real: Callable[[str], tuple[Path, dict[str, Any]]], name: str
) -> None:
    path, parts = real(name)
    checkpoint = Checkpoint.open(path)
    for model, component in checkpoint.components.items():
        part = checkpoint.family.parts[model]
        theirs = parts[part.folder]
        config = theirs.config.to_dict() if hasattr(theirs.config, "to_dict") else dict(theirs.config)
        expected = Architecture.of(model, part.class_name, config, part.time_ids)
        assert component.architecture.digest() == expected.digest()
        with torch.device("meta"):
            module = build_module(component.architecture)
        own = parameter_names(module)
        shapes = {own[key]: tuple(parameter.shape) for key, parameter in module.named_parameters()}
        assert {key: component.weights[key].shape for key in shapes} == shapes


@pytest.mark.parametrize("name", ["sd1", "sd2", "sdxl"])
def test_a_real_control_nets_file_has_a_graph_that_comes_with_the_package(
    real: Callable[[str], tuple[Path, dict[str, Any]]], tmp_path: Path, name: str
) -> None:
    with torch.device("meta"):
        net = diffusers.ControlNetModel.from_unet(real(name)[1]["unet"], load_weights_from_unet=False)
    shapes = {f"control_model.{key}": list(tensor.shape) for key, tensor in original_control_net(net).items()}
    write_sparse(tmp_path / "net.safetensors", shapes)
    for component in Checkpoint.open(tmp_path / "net.safetensors").components.values():
        graph = find_graph(component.architecture, tmp_path)
        assert graph is not None and is_shipped(graph)
        parameters = open_graph(component, graph).graph.initializer
        assert {each.name for each in parameters if each.data_location == each.EXTERNAL} == component.weights.keys()


def test_a_hundred_files_are_read_in_a_moment(
    real: Callable[[str], tuple[Path, dict[str, Any]]],
) -> None:
    """3 s on the machine that this was written on; what others do there is not counted."""
    paths = [real(name)[0] for name in ("sd1", "sd2", "sdxl")]
    began, entries = time.process_time(), []
    for number in range(100):
        entry = Entry(str(number), paths[number % len(paths)], "")
        entry.open()
        entries.append(entry)
    assert time.process_time() - began < 10
    assert len({id(tokenizer) for entry in entries for tokenizer in entry.tokenizers}) == 2

"""The graphs that come with the package: whose checkpoints they are for, that they are fresh, and that they suffice."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

from tests.e2e.ip_adapters.making import projection
from tests.engine.cache.hub_configs import (
    CONTROL_NETS,
    ENCODERS,
    OPEN_CLIP_BIG_G,
    REFINERS,
    UNETS,
    VAES,
    VIT_BIG_G,
    VIT_H,
)
from tests.hollow import save_hollow, write_zeros
from tools.ship_graphs import shipped, stale
from triptych.checkpoint import Architecture, Checkpoint
from triptych.checkpoint.sources.controls.folder import hint_config
from triptych.contract import CONTROLNET, CONTROLNET_HINT
from triptych.engine.cache.artifacts import find_graph, is_shipped, read_graph
from triptych.engine.cache.kin import with_channels
from triptych.engine.conditions import conditioning_dims
from triptych.engine.exporting import program_for
from triptych.measuring.checkpoints import SIZES

ROOT = Path(__file__).parents[3]
# Of those that are shipped, by what it takes to export them.
CHEAP = ("demo encoder", "demo vae_decoder")
UNET, VAE, TEXT, SECOND_TEXT = "UNet2DConditionModel", "AutoencoderKL", "CLIPTextModel", "CLIPTextModelWithProjection"


def graph_of(architecture: Architecture) -> bytes:
    """That which is shipped for it."""
    path = find_graph(architecture, Path("/nowhere"))
    assert path is not None and is_shipped(path)
    return read_graph(path)


def exported(architecture: Architecture) -> bytes:
    exporter = importlib.import_module(program_for(architecture.class_name))
    graph: bytes = exporter.export_graph(architecture).SerializeToString(deterministic=True)
    return graph


def by_any_build(graph: bytes) -> bytes:
    """Without the name of torch's build, which is all that two of one version write otherwise."""
    model = onnx.load_model_from_string(graph)
    model.producer_version = model.producer_version.partition("+")[0]
    return model.SerializeToString(deterministic=True)


def from_the_hub() -> Iterator[tuple[str, Architecture]]:
    for name, config in UNETS.items():
        yield name, Architecture.of("unet", UNET, config)
    for name, config in REFINERS.items():
        yield name, Architecture.of("unet", UNET, config, time_ids=5)
    for name, config in VAES.items():
        yield name, Architecture.of("vae_decoder", VAE, config)
        yield name, Architecture.of("vae_encoder", VAE, config)
    for name, config in ENCODERS.items():
        yield name, Architecture.of("encoder", TEXT, config)
    for name, config in CONTROL_NETS.items():
        yield name, Architecture.of(CONTROLNET, "ControlNetModel", config)
        yield name, Architecture.of(CONTROLNET_HINT, "ControlNetConditioningEmbedding", hint_config(config))
    yield "stabilityai/stable-diffusion-xl-base-1.0", Architecture.of("encoder_2", SECOND_TEXT, OPEN_CLIP_BIG_G)


@pytest.mark.parametrize(("name", "architecture"), list(from_the_hub()))
def test_the_hubs_checkpoints_have_one(name: str, architecture: Architecture) -> None:
    assert find_graph(architecture, Path("/nowhere")), name


@pytest.mark.parametrize("name", ["sd15", "sd15-fp16", "sd21", "sdxl"])
def test_a_checkpoint_that_diffusers_writes_today_has_all(name: str, tmp_path: Path) -> None:
    components = Checkpoint.open(save_hollow(tmp_path / name, SIZES[name])).components
    assert [model for model, part in components.items() if not find_graph(part.architecture, tmp_path)] == []


@pytest.mark.parametrize(
    ("name", "config", "width", "inner"),
    [
        ("ip-adapter_sd15", VIT_H, 768, 0),
        ("ip-adapter_sd15_vit-G", VIT_BIG_G, 768, 0),
        ("ip-adapter-plus_sd15", VIT_H, 768, 768),
        ("ip-adapter-full-face_sd15", VIT_H, 768, 0),
        ("ip-adapter_sdxl", VIT_BIG_G, 2048, 0),
        ("ip-adapter_sdxl_vit-h", VIT_H, 2048, 0),
        ("ip-adapter-plus_sdxl_vit-h", VIT_H, 2048, 1280),
    ],
)
def test_the_ip_adapters_that_were_published_have_one(
    name: str, config: Mapping[str, Any], width: int, inner: int, tmp_path: Path
) -> None:
    folder, file = tmp_path / "image_encoder", tmp_path / f"{name}.safetensors"
    kind = next((kind for kind in ("plus", "full") if f"-{kind}" in name), "plain")
    with torch.device("meta"):
        encoder = CLIPVisionModelWithProjection(CLIPVisionConfig(**config))
        between = projection(kind, width, config["hidden_size"], config["projection_dim"], inner, 16)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    write_zeros(folder / "model.safetensors", shapes_of(encoder.state_dict()), torch.float16)
    matrices = {f"ip_adapter.1.to_{side}_ip.weight": (320, width) for side in "kv"}
    shapes = {f"image_proj.{part}": shape for part, shape in shapes_of(between).items()} | matrices
    write_zeros(file, shapes, torch.float16)
    component = Checkpoint.open(file).components["image_encoder"]
    graph = onnx.load_model_from_string(graph_of(component.architecture)).graph
    parameters = {each.name: tuple(each.dims) for each in graph.initializer if each.external_data}
    assert parameters.items() <= {name: info.shape for name, info in component.weights.items()}.items()


def shapes_of(tensors: Mapping[str, torch.Tensor]) -> dict[str, tuple[int, ...]]:
    return {name: tuple(tensor.shape) for name, tensor in tensors.items()}


def test_other_architectures_have_none(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    for path in checkpoints.values():
        components = Checkpoint.open(path).components.values()
        assert not any(find_graph(component.architecture, tmp_path) for component in components)


@pytest.mark.parametrize(
    "changed",
    [{"in_channels": 5}, {"layers_per_block": [2, 2, 2, 1]}, {"only_cross_attention": [True] * 4}, {"norm_eps": 1e-6}],
)
def test_what_shapes_a_graph_counts(changed: Mapping[str, Any], tmp_path: Path) -> None:
    config = {**UNETS["runwayml/stable-diffusion-v1-5"], **changed}
    assert find_graph(Architecture.of("unet", UNET, config), tmp_path) is None


def test_they_are_fresh() -> None:
    assert stale() == []


@pytest.mark.parametrize("name", CHEAP)
def test_a_cheap_one_is_what_is_exported_here(name: str) -> None:
    architecture = shipped()[name]
    assert by_any_build(graph_of(architecture)) == by_any_build(exported(architecture))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in shipped() if name not in CHEAP])
def test_each_is_what_is_exported_here(name: str) -> None:
    architecture = shipped()[name]
    assert by_any_build(graph_of(architecture)) == by_any_build(exported(architecture))


@pytest.mark.slow
def test_a_unet_of_more_channels_is_its_kin_but_for_two_numbers() -> None:
    demo = shipped()["demo unet"]
    inpainting = Architecture.of("unet", UNET, {**demo.config, "in_channels": 9})
    assert by_any_build(exported(inpainting)) == by_any_build(with_channels(graph_of(demo), 9))


@pytest.mark.parametrize("model", ["encoder", pytest.param("unet", marks=pytest.mark.slow)])
def test_what_the_key_leaves_out_is_not_in_the_graph(model: str, checkpoints: dict[str, Path]) -> None:
    architecture = Checkpoint.open(checkpoints["sd2"]).components[model].architecture
    assert architecture != architecture.traced()
    assert exported(architecture) == exported(architecture.traced())


@pytest.mark.parametrize("name", [name for name, each in shipped().items() if each.model == "unet"])
def test_a_unets_inputs_are_what_the_stage_sends(name: str) -> None:
    architecture = shipped()[name]
    graph = onnx.load_model_from_string(graph_of(architecture)).graph
    extents = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim][1:] for value in graph.input}
    sent = conditioning_dims(architecture).items()
    wanted = {name: [extent if isinstance(extent, int) else 0 for extent in dims] for name, dims in sent}
    assert extents == {"latents": [architecture.config["in_channels"], 0, 0], "timestep": []} | wanted

"""Graphs built for real without a GPU: parsed, typed, their weights marked, their profiles taken, attention fused."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx.helper import make_graph, make_model, make_node, make_opsetid, make_tensor_value_info

from tests.conftest import CACHE
from tests.engine.tensorrt.real import save_checkpoint, whole
from tests.engine.tensorrt.rtx import build, build_network, defined, softmaxes
from triptych.checkpoint import Checkpoint
from triptych.contract import ENCODER, UNET, VAE_DECODER, VAE_ENCODER
from triptych.demo import checkpoint_path
from triptych.engine import EngineSettings
from triptych.engine.rewriting.variant import PLAIN, Variant
from triptych.engine.tensorrt.build.builder import open_weights
from triptych.engine.tensorrt.build.monitor import build_monitor
from triptych.engine.tensorrt.build.plan import RefitPlan
from triptych.engine.tensorrt.network.precision import to_precision
from triptych.engine.tensorrt.network.profiles import Profile, Range
from triptych.engine.tensorrt.network.typed import TypedGraph

pytestmark = [
    pytest.mark.rtx,
    # It has no timing cache, and says so wherever one is made.
    pytest.mark.filterwarnings("ignore:Use Deprecated in TensorRT-RTX 1.2. Timing cache:DeprecationWarning"),
]
MODELS = (ENCODER.name, UNET.name, VAE_DECODER.name, VAE_ENCODER.name)
PRECISIONS = ("fp32", "fp16", "bf16")


def typed(path: Path, model: str, precision: str) -> TypedGraph:
    return TypedGraph.of(Checkpoint.open(path).components[model], EngineSettings(2, CACHE, precision=precision))


def wide() -> Profile:
    """Pictures of 768 pixels, where attention that is not fused would show in memory."""
    extent = Range(96, 96, 96)
    return Profile(
        {"batch": Range(1, 2, 16), "latent_height": extent, "latent_width": extent, "tokens": Range(77, 77, 77)}
    )


def scores_bytes(graph: TypedGraph, profile: Profile) -> int:
    """Of one attention of the demo's UNet in half precision, which has four heads at half the extent."""
    tokens = (profile.ranges["latent_height"].most // 2) ** 2
    return 2 * profile.ranges["batch"].most * 4 * tokens * tokens


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("family", ["demo", "sd1", "sd2"])
def test_graphs_are_taken_with_their_profiles(
    rtx: Any, checkpoints: dict[str, Path], tmp_path: Path, family: str, model: str, precision: str
) -> None:
    graph = typed({"demo": checkpoint_path(), **checkpoints}[family], model, precision)
    definition = defined(graph, tmp_path)
    assert definition.config.num_optimization_profiles == len(graph.profiles)
    inputs = {definition.network.get_input(i).name for i in range(definition.network.num_inputs)}
    assert inputs == graph.dims.keys()
    names = graph.open_names(RefitPlan.PER_ARCHITECTURE)
    assert set(graph.targets) <= set(names) and len(names) == len(graph.parameters)
    open_weights(definition, names)  # raises if one has no name there
    assert all(definition.network.are_weights_marked_refittable(name) for name in names)


def test_a_first_engine_has_the_transformers_weights_open_alone(rtx: Any, tmp_path: Path) -> None:
    graph = typed(checkpoint_path(), UNET.name, "fp16")
    definition = defined(graph, tmp_path)
    usual = graph.open_names(RefitPlan.USUAL)
    open_weights(definition, usual)
    marked = [name for name in graph.parameters if definition.network.are_weights_marked_refittable(name)]
    assert sorted(marked) == sorted(usual) and 0 < len(usual) < len(graph.targets)


def test_a_build_says_how_far_it_is(rtx: Any, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    graph = typed(checkpoints["sd1"], ENCODER.name, "fp16")
    lines: list[str] = []
    clock = itertools.count(0.0, 3.0)
    build(rtx, graph, tmp_path, monitor=build_monitor(lines.append, lambda: next(clock)))
    assert lines and all(re.fullmatch(r"building engine: \d of \d(, [a-z ]+: \d+ of \d+)?", line) for line in lines)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("family", [pytest.param("sd1", marks=pytest.mark.slow), "sd2"])
def test_small_engines_are_built(
    rtx: Any, checkpoints: dict[str, Path], tmp_path: Path, family: str, model: str
) -> None:
    graph = typed(checkpoints[family], model, "fp16")
    built = build(rtx, graph, tmp_path, graph.profiles[-1:])
    assert built.plan and len(built.activation_bytes) == 1 and built.activation_bytes[0] > 0


@pytest.mark.parametrize("upcast", [False, True])
def test_attention_is_fused(rtx: Any, tmp_path: Path, upcast: bool) -> None:
    graph = typed(checkpoint_path(), UNET.name, "fp32")
    to_precision(graph.model, "fp16", upcast)
    built = build(rtx, graph, tmp_path, [wide()])
    assert built.fused_attentions == softmaxes(graph) == 8
    assert built.activation_bytes[0] < scores_bytes(graph, wide())


@pytest.mark.slow
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("model", MODELS)
def test_every_profile_of_the_demo_is_built(rtx: Any, tmp_path: Path, model: str, precision: str) -> None:
    graph = typed(checkpoint_path(), model, precision)
    built = build(rtx, graph, tmp_path)
    assert len(built.activation_bytes) == len(graph.profiles)
    # Neither float32 without TF32 nor the encoder's mask has a fused kernel. Profiles may share what one is made of.
    least = softmaxes(graph) if model != ENCODER.name and precision != "fp32" else 0
    assert least <= built.fused_attentions <= least * len(graph.profiles)
    assert model != UNET.name or built.fused_attentions == least * len(graph.profiles)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("family", "variant"), [("sd15", PLAIN), ("sd15", Variant("x", True, 1)), ("sd21", PLAIN)])
def test_attention_of_real_sizes_is_fused(rtx: Any, tmp_path: Path, family: str, variant: Variant) -> None:
    """The UNet at its own size, guidance's pair at best; scores that are written down would take this many bytes."""
    component = whole(Checkpoint.open(save_checkpoint(tmp_path / family, family)).components[UNET.name])
    graph = TypedGraph.of(component, EngineSettings(2, CACHE, precision="fp16"), variant)
    profile = graph.profiles[0]
    batch, height, width = (profile.ranges[name].most for name in ("batch", "latent_height", "latent_width"))
    heads = 8 if family == "sd15" else 5
    built = build(rtx, graph, tmp_path, [profile])
    assert built.fused_attentions == softmaxes(graph) == 32 + 16 * variant.prompts
    assert built.activation_bytes[0] < 2 * batch * heads * (height * width) ** 2


def test_a_transposed_weight_costs_nothing(rtx: Any, tmp_path: Path) -> None:
    """As the exporter writes a Linear: x times a transposed weight. Weights are inputs here, for an open weight is as
    unknown to the builder as they are, and a closed one's transposition would be folded in any case."""
    programs = [
        build_network(rtx, layers(nodes), tmp_path)
        for nodes in (
            [make_node("Transpose", ["w"], ["t"], perm=[1, 0]), make_node("MatMul", ["x", "t"], ["y"])],
            [make_node("Einsum", ["x", "w"], ["y"], equation="bti,oi->bto")],
        )
    ]
    assert [program.plan.count(b"fully_connected={") for program in programs] == [1, 1]
    assert programs[0].activation_bytes == programs[1].activation_bytes


def layers(nodes: list[onnx.NodeProto]) -> onnx.ModelProto:
    half = onnx.TensorProto.FLOAT16
    shapes: dict[str, list[int | str]] = {"x": ["batch", 4096, 320], "w": [1280, 320]}
    inputs = [make_tensor_value_info(name, half, shape) for name, shape in shapes.items()]
    output = make_tensor_value_info("y", half, ["batch", 4096, 1280])
    graph = make_graph(nodes, "linear", inputs, [output])
    return make_model(graph, opset_imports=[make_opsetid("", 20)], ir_version=10)

"""What stands beside a UNet, and the UNet's other graphs, as TensorRT is to see them: sizes, weights, attention."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

from tests.conftest import CACHE
from tests.engine.tensorrt.beside_unet import NAMES, save_all
from tests.engine.tensorrt.network.test_precision import computed_wide
from tests.engine.tensorrt.real import save_checkpoint
from tests.engine.tensorrt.rtx import build, defined, softmaxes
from triptych.checkpoint import Checkpoint, Component
from triptych.contract import CONTROLNET, UNET, VAE_DECODER, VAE_ENCODER
from triptych.demo import checkpoint_path
from triptych.engine import EngineSettings
from triptych.engine.conditions import added_places
from triptych.engine.onnxruntime.engine import OnnxRuntimeEngine
from triptych.engine.port import Array
from triptych.engine.rewriting.variant import PLAIN, Variant
from triptych.engine.tensorrt.build.builder import open_weights
from triptych.engine.tensorrt.build.plan import RefitPlan
from triptych.engine.tensorrt.network.external import write_model
from triptych.engine.tensorrt.network.profiles import profiles_of, sizes_of
from triptych.engine.tensorrt.network.typed import TypedGraph
from triptych.engine.tensorrt.probe import TOLERANCES, relative_error
from triptych.errors import InvalidArgumentError

FP16, FP32 = (EngineSettings(2, CACHE, precision=precision) for precision in ("fp16", "fp32"))
UNETS = {
    "controlled": Variant(is_controlled=True),
    "prompted": Variant(prompts=1),
    "wrapped": Variant("xy"),
    "all": Variant("x", is_controlled=True, prompts=2),
}
NO_TIMINGS = pytest.mark.filterwarnings("ignore:Use Deprecated in TensorRT-RTX 1.2. Timing cache:DeprecationWarning")


@pytest.fixture(scope="module")
def beside(checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Component]:
    return save_all(tmp_path_factory.mktemp("beside"), checkpoints)


@pytest.fixture(scope="module")
def unet(checkpoints: dict[str, Path]) -> Component:
    return Checkpoint.open(checkpoints["sd1"]).components[UNET.name]


def check_samples(graph: TypedGraph) -> None:
    """Every profile's are of its own sizes, and the reference's outputs of them are numbers."""
    for sample in graph.samples():
        sizes = sizes_of(graph.dims, {name: array.shape for name, array in sample.inputs.items()})
        profile = graph.profiles[sample.profile]
        assert profile.holds(sizes) and sizes.keys() == profile.ranges.keys()


@pytest.mark.parametrize("name", NAMES)
def test_what_stands_beside_a_unet_has_profiles_of_its_sizes(beside: dict[str, Component], name: str) -> None:
    graph = TypedGraph.of(beside[name], FP32)
    check_samples(graph)
    assert graph.first_plan is RefitPlan.PER_CHECKPOINT and not graph.targets
    rows = graph.samples()[0].rows
    outputs = OnnxRuntimeEngine.load(beside[name], FP32).infer(rows)
    assert all(np.isfinite(array).all() for array in outputs.values())


@pytest.mark.parametrize("family", ["sd15", "sd21"])
def test_a_control_net_takes_every_size_that_its_unet_takes(tmp_path: Path, family: str) -> None:
    unet = Checkpoint.open(save_checkpoint(tmp_path / family, family)).components[UNET.name]
    architecture = replace(unet.architecture, model=CONTROLNET)
    assert profiles_of(replace(unet, architecture=architecture)) == profiles_of(unet)


@pytest.mark.parametrize("name", UNETS)
def test_a_variant_has_the_plain_graphs_weights_and_its_own_inputs(unet: Component, name: str) -> None:
    plain, graph = TypedGraph.of(unet, FP32), TypedGraph.of(unet, FP32, UNETS[name])
    check_samples(graph)
    assert (graph.parameters, graph.targets) == (plain.parameters, plain.targets)
    assert graph.content != plain.content and graph.variant == UNETS[name] != PLAIN == plain.variant
    assert graph.dims.items() >= plain.dims.items()
    inputs, axes = graph.samples()[0].rows, UNETS[name].axes
    reference = OnnxRuntimeEngine.load(unet, FP32)
    assert Variant.of(inputs, axes) == UNETS[name]
    outputs = reference.infer_wrapped(inputs, axes) if axes else reference.infer(inputs)
    assert outputs["noise_pred"].shape == inputs["latents"].shape


@pytest.mark.parametrize("family", ["sd1", "sd2"])
def test_typed_variants_give_the_same_numbers(checkpoints: dict[str, Path], tmp_path: Path, family: str) -> None:
    """In half precision: what is added and looked at is rounded as all else is, scores of 2.x have float32's range."""
    component = Checkpoint.open(checkpoints[family]).components[UNET.name]
    graph = TypedGraph.of(component, FP16, UNETS["all"])
    given = graph.samples()[0].rows
    same_numbers(graph, given, OnnxRuntimeEngine.load(component, FP32).infer_wrapped(given, "x"), tmp_path)


@pytest.mark.parametrize("name", ["controlnet", "t2i_adapter_xl", "image_encoder"])
def test_what_is_typed_beside_a_unet_gives_the_same_numbers(
    beside: dict[str, Component], tmp_path: Path, name: str
) -> None:
    graph = TypedGraph.of(beside[name], FP16)
    given = graph.samples()[0].rows
    same_numbers(graph, given, OnnxRuntimeEngine.load(beside[name], FP32).infer(given), tmp_path)


def same_numbers(graph: TypedGraph, given: Mapping[str, Array], expected: Mapping[str, Array], folder: Path) -> None:
    path = computed_wide(write_model(graph.model, graph.component, folder))
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(None, dict(given)), strict=True))
    assert all(0 < relative_error(outputs[name], array) < TOLERANCES["fp16"] for name, array in expected.items())


def test_what_is_added_is_as_large_as_what_it_is_added_to(unet: Component) -> None:
    """An extent is rounded up when it is halved; what is of another size contradicts the latents."""
    graph = TypedGraph.of(unet, FP32, UNETS["controlled"])
    shapes: dict[str, tuple[int, ...]] = {
        "latents": (2, 4, 5, 7), "timestep": (2,), "encoder_hidden_states": (2, 77, 32),
    }  # fmt: skip
    for name, (channels, smaller) in added_places(unet.architecture).items():
        shapes[name] = 2, channels, -(-5 // smaller), -(-7 // smaller)
    assert sizes_of(graph.dims, dict(reversed(shapes.items())))["latent_height"] == 5
    name = next(name for name, (_, smaller) in added_places(unet.architecture).items() if smaller == 2)
    with pytest.raises(InvalidArgumentError, match=f"{name}: .* has 4 where 3 is needed"):
        sizes_of(graph.dims, {**shapes, name: (*shapes[name][:2], 4, 4)})


@pytest.mark.rtx
@NO_TIMINGS
@pytest.mark.parametrize("settings", [FP32, FP16], ids=["fp32", "fp16"])
@pytest.mark.parametrize("name", NAMES)
def test_graphs_beside_a_unet_are_taken(
    rtx: Any, beside: dict[str, Component], tmp_path: Path, name: str, settings: EngineSettings
) -> None:
    graph = TypedGraph.of(beside[name], settings)
    definition = defined(graph, tmp_path)
    assert definition.config.num_optimization_profiles == len(graph.profiles)
    open_weights(definition, graph.open_names(RefitPlan.PER_ARCHITECTURE))  # raises if one has no name there


@pytest.mark.rtx
@NO_TIMINGS
@pytest.mark.parametrize("settings", [FP32, FP16], ids=["fp32", "fp16"])
@pytest.mark.parametrize("name", UNETS)
def test_a_unets_variants_are_taken(
    rtx: Any, unet: Component, tmp_path: Path, name: str, settings: EngineSettings
) -> None:
    graph = TypedGraph.of(unet, settings, UNETS[name])
    definition = defined(graph, tmp_path)
    assert definition.config.num_optimization_profiles == len(graph.profiles)
    open_weights(definition, graph.open_names(RefitPlan.PER_ARCHITECTURE))


@pytest.mark.rtx
@NO_TIMINGS
@pytest.mark.parametrize("model", [VAE_DECODER.name, VAE_ENCODER.name])
def test_a_vae_that_wraps_around_is_taken(rtx: Any, checkpoints: dict[str, Path], tmp_path: Path, model: str) -> None:
    component = Checkpoint.open(checkpoints["sd1"]).components[model]
    assert defined(TypedGraph.of(component, FP16, Variant("xy")), tmp_path).network.num_inputs == 1


@pytest.mark.rtx
@NO_TIMINGS
@pytest.mark.slow
@pytest.mark.parametrize("name", UNETS)
def test_a_unets_variants_are_built_with_all_attention_fused(rtx: Any, tmp_path: Path, name: str) -> None:
    """The demo's, whose heads are wide enough for a fused kernel, at its largest size."""
    demo = Checkpoint.open(checkpoint_path()).components[UNET.name]
    graph = TypedGraph.of(demo, FP16, UNETS[name])
    built = build(rtx, graph, tmp_path, graph.profiles[-1:])
    assert built.fused_attentions == softmaxes(graph) == 8 + 4 * UNETS[name].prompts


@pytest.mark.rtx
@NO_TIMINGS
@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_engines_beside_a_unet_are_built(rtx: Any, beside: dict[str, Component], tmp_path: Path, name: str) -> None:
    graph = TypedGraph.of(beside[name], FP16)
    assert build(rtx, graph, tmp_path, graph.profiles[-1:]).plan

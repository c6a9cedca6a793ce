"""Graphs typed in half precision: sound, near the float32 ones, and wide where diffusers is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
import torch
from onnx import helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from tests.conftest import CACHE
from tests.engine.torch.test_engine import inputs_of, joined
from triptych.checkpoint import Checkpoint, Component
from triptych.contract import ENCODER, UNET, VAE_DECODER, VAE_ENCODER
from triptych.engine import EngineSettings, load_engine
from triptych.engine.tensorrt.network.external import write_model
from triptych.engine.tensorrt.network.floats import BFLOAT16, FLOAT, FLOAT16, encode
from triptych.engine.tensorrt.network.precision import to_precision
from triptych.engine.tensorrt.network.typed import TypedGraph

MODELS = (ENCODER.name, UNET.name, VAE_DECODER.name, VAE_ENCODER.name)


def typed(checkpoints: dict[str, Path], model: str, precision: str, family: str = "sd1") -> TypedGraph:
    component = Checkpoint.open(checkpoints[family]).components[model]
    return TypedGraph.of(component, EngineSettings(2, CACHE, precision=precision))


def computed_wide(path: Path) -> Path:
    """Products in bfloat16, which onnxruntime lacks, as a fused kernel computes them: added up in float32."""
    model = onnx.load_model(path, load_external_data=False)
    narrowed = {name for node in model.graph.node if _casts_to(node, BFLOAT16) for name in node.output}
    nodes = []
    for node in model.graph.node:
        if node.op_type == "MatMul" and narrowed.intersection(node.input):
            for index, name in enumerate(node.input):
                nodes.append(helper.make_node("Cast", [name], [f"{node.output[0]}_factor_{index}"], to=FLOAT))
                node.input[index] = f"{node.output[0]}_factor_{index}"
            wide = f"{node.output[0]}_wide"
            nodes += [node, helper.make_node("Cast", [wide], [node.output[0]], to=BFLOAT16)]
            node.output[0] = wide
        else:
            nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    emulated = path.with_name("emulated.onnx")
    onnx.save_model(model, emulated)
    return emulated


def _casts_to(node: onnx.NodeProto, data_type: int) -> bool:
    return node.op_type == "Cast" and helper.get_node_attr_value(node, "to") == data_type


def run(path: Path, model: str) -> npt.NDArray[np.float32]:
    session = onnxruntime.InferenceSession(computed_wide(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return joined(dict(zip(names, session.run(None, inputs_of(model)), strict=True)))


def expected(component: Component, model: str) -> npt.NDArray[np.float32]:
    return joined(load_engine("onnxruntime", component, EngineSettings(2, CACHE)).infer(inputs_of(model)))


@pytest.mark.parametrize("family", ["sd1", "sd2"])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-5), ("fp16", 5e-3)])
def test_the_typed_graph_gives_the_same_pictures(
    checkpoints: dict[str, Path], tmp_path: Path, model: str, precision: str, tolerance: float, family: str
) -> None:
    graph = typed(checkpoints, model, precision, family)
    reference = expected(graph.component, model)
    difference = run(write_model(graph.model, graph.component, tmp_path), model) - reference
    assert np.linalg.norm(difference) < tolerance * np.linalg.norm(reference)


@pytest.mark.parametrize("family", ["sd1", "sd2"])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(("precision", "narrow"), [("fp16", FLOAT16), ("bf16", BFLOAT16)])
def test_every_type_is_sound(
    checkpoints: dict[str, Path], model: str, precision: str, narrow: int, family: str
) -> None:
    graph = typed(checkpoints, model, precision, family)
    # Convolutions take bfloat16 from operator set 22 on; TensorRT takes it at any.
    del graph.model.opset_import[:]
    graph.model.opset_import.append(onnx.helper.make_opsetid("", 22))
    inferred = shape_inference.infer_shapes(graph.model, check_type=True, strict_mode=True).graph
    types = {value.name: value.type.tensor_type.elem_type for value in (*inferred.value_info, *inferred.output)}
    types |= {tensor.name: tensor.data_type for tensor in inferred.initializer}
    types |= {value.name: value.type.tensor_type.elem_type for value in inferred.input}
    for node in inferred.node:
        wanted = {
            "Conv": narrow,
            "Gemm": narrow,
            "InstanceNormalization": FLOAT,
            "LayerNormalization": FLOAT,
            "Softmax": FLOAT,
            "Sin": FLOAT,
            "Cos": FLOAT,
        }.get(node.op_type)
        if wanted:
            assert {types[name] for name in (*node.input, *node.output)} == {wanted}, node.name
    assert {types[name] for name in graph.targets} <= {narrow}
    outside = {types[value.name] for value in (*inferred.input, *inferred.output)}
    assert outside <= {FLOAT, onnx.TensorProto.INT64, onnx.TensorProto.BOOL}


@pytest.mark.parametrize(("family", "precision", "wanted"), [("sd1", "fp16", FLOAT16), ("sd2", "fp16", BFLOAT16)])
def test_upcast_attention_has_both_products_in_bfloat16(
    checkpoints: dict[str, Path], family: str, precision: str, wanted: int
) -> None:
    graph = typed(checkpoints, UNET.name, precision, family).model.graph
    casts = {node.output[0]: node for node in graph.node if node.op_type == "Cast"}
    softmaxes = [node for node in graph.node if node.op_type == "Softmax"]
    makers = {node.output[0]: node for node in graph.node}
    assert len(softmaxes) == 8
    for softmax in softmaxes:
        widened = casts[softmax.input[0]]
        assert _casts_to(widened, FLOAT) and makers[widened.input[0]].op_type == "MatMul"
        (narrowed,) = (node for node in casts.values() if node.input[0] == softmax.output[0])
        assert _casts_to(narrowed, wanted)


@pytest.mark.parametrize(("upcast", "finite"), [(False, False), (True, True)])
def test_scores_beyond_float16_are_no_infinity(upcast: bool, finite: bool) -> None:
    random = np.random.default_rng(0)
    values = {name: random.standard_normal((1, 6, 8)).astype(np.float32) for name in ("query", "key", "value")}
    values["query"] += 400
    values["key"] += 400  # the scores are 8 * 400 * 400 and a little more, and the softmax sees that little
    model = attention_model()
    (wide,) = ReferenceEvaluator(model).run(None, values)
    to_precision(model, "fp16", upcast)
    with np.errstate(all="ignore"):
        (actual,) = ReferenceEvaluator(model).run(None, values)
    assert np.isfinite(wide).all() and bool(np.isfinite(actual).all()) == finite


def attention_model() -> onnx.ModelProto:
    """softmax(query key^T) value, between products with the identity, so that what comes in is narrow."""
    nodes = [helper.make_node("MatMul", [name, "identity"], [name[0]]) for name in ("query", "key", "value")]
    nodes += [
        helper.make_node("Transpose", ["k"], ["t"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["q", "t"], ["scores"]),
        helper.make_node("Softmax", ["scores"], ["weights"], axis=-1),
        helper.make_node("MatMul", ["weights", "v"], ["output"]),
    ]
    shape = [1, 6, 8]
    inputs = [helper.make_tensor_value_info(name, FLOAT, shape) for name in ("query", "key", "value")]
    output = helper.make_tensor_value_info("output", FLOAT, shape)
    identity = numpy_helper.from_array(np.eye(8, dtype=np.float32), "identity")
    graph = helper.make_graph(nodes, "attention", inputs, [output], [identity])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)


def test_masks_stay_finite_and_infinities_infinite(checkpoints: dict[str, Path]) -> None:
    graph = typed(checkpoints, ENCODER.name, "fp16").model.graph
    halves = [numpy_helper.to_array(t) for t in graph.initializer if t.data_type == FLOAT16 and t.data_location == 0]
    assert any((array == -65504).any() for array in halves)
    assert all(np.isfinite(array).all() for array in halves)


def test_every_weight_is_written_in_its_type(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    graph = typed(checkpoints, UNET.name, "fp16")
    path = write_model(graph.model, graph.component, tmp_path)
    tensors = {t.name: numpy_helper.to_array(t) for t in onnx.load_model(path).graph.initializer}
    assert set(graph.parameters) <= tensors.keys()
    assert {tensors[name].dtype for name in graph.targets} == {np.dtype(np.float16)}
    assert tensors["conv_norm_out.weight"].dtype == np.float32


def test_the_exchangeable_weights_are_those_of_the_layers(checkpoints: dict[str, Path]) -> None:
    from triptych.engine.modules import build_module
    from triptych.engine.torch.engine import layer_parameters

    for model in (ENCODER.name, UNET.name):
        graph = typed(checkpoints, model, "fp16")
        parameters = layer_parameters(build_module(graph.component.architecture))
        assert sorted(graph.targets) == sorted(name for name, each in parameters.items() if each.ndim > 1)
    assert not typed(checkpoints, VAE_DECODER.name, "fp16").targets


@pytest.mark.parametrize(("data_type", "dtype"), [(FLOAT16, torch.float16), (BFLOAT16, torch.bfloat16)])
def test_rounding_is_torchs(data_type: int, dtype: torch.dtype) -> None:
    bits = np.random.default_rng(0).integers(0, 1 << 32, 100_000, dtype=np.uint32)
    array = np.concatenate([bits.view(np.float32), np.array([0, -0.0, 1, np.inf, -np.inf, 65519, 65520], np.float32)])
    array = array[~np.isnan(array)]
    rounded = torch.from_numpy(array).to(dtype).view(torch.int16).numpy()
    assert np.array_equal(encode(array, data_type).view(np.int16), rounded)
    nan = encode(np.array([np.nan], np.float32), data_type).view(np.int16)
    assert torch.from_numpy(nan).view(dtype).isnan().all()

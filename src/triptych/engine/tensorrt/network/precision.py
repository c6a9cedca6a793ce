"""Types a float32 graph in float16 or bfloat16, for TensorRT's strongly typed networks take every type from the graph.

Matrix products and convolutions, and what follows them, are narrow; normalisation, softmax and the timestep's sines and
cosines stay float32, as in diffusers, whose modules upcast there. Inputs and outputs of the graph stay float32.

Where a configuration says `upcast_attention`, attention's scores can be too large for float16. In float32 they would
take gigabytes, for attention has no fused kernel then; bfloat16 has float32's range, and a fused kernel, which adds up
in float32. So both of attention's products are bfloat16 there, for a kernel takes both in one type.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference

from triptych.engine.tensorrt.network.floats import BFLOAT16, FLOAT, LARGEST, PRECISIONS, encode

_WIDE = {
    "Cos",
    "Exp",
    "GroupNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "Pow",
    "ReduceMean",
    "ReduceSum",
    "Sin",
    "Softmax",
    "Sqrt",
}
_NARROW = {"Conv", "ConvTranspose", "Gather", "Gelu", "Gemm", "MatMul", "Sigmoid", "Tanh"}


def to_precision(model: onnx.ModelProto, precision: str, upcast_attention: bool = False) -> None:
    """Retypes the graph in place; parameters, which hold no data, change their type, constants their values too."""
    if PRECISIONS[precision] != FLOAT:
        _Typing(model, PRECISIONS[precision], upcast_attention).run()


class _Typing:
    """One pass over the nodes in their order; every value's type is known when its user is reached.

    Constants, and what is computed from constants alone, take the type that their first user wants.
    """

    def __init__(self, model: onnx.ModelProto, narrow: int, upcast_attention: bool) -> None:
        self._graph = model.graph
        self._narrow = narrow
        self._floats = _float_values(model)
        self._constants = {tensor.name: tensor for tensor in model.graph.initializer if tensor.data_type == FLOAT}
        self._deferred: dict[str, onnx.NodeProto] = {}
        self._types = {value.name: FLOAT for value in model.graph.input if value.name in self._floats}
        self._casts: dict[tuple[str, int], str] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._upcast = _attention_products(model.graph) if upcast_attention else set()

    def run(self) -> None:
        fixed = {value.name for value in self._graph.input} | {tensor.name for tensor in self._graph.initializer}
        constants = {tensor.name for tensor in self._graph.initializer}
        for node in self._graph.node:
            if node.input and all(name in constants for name in node.input if name):
                constants.update(node.output)
                if node.output[0] in self._floats:
                    self._deferred[node.output[0]] = node
                    continue
            self._convert(node, self._type_of(node))
        for output in self._graph.output:
            self._keep_output_wide(output.name, fixed)
        del self._graph.node[:], self._graph.value_info[:]
        self._graph.node.extend(self._nodes)

    def _type_of(self, node: onnx.NodeProto) -> int:
        if node.op_type in _WIDE:
            return FLOAT
        if node.output[0] in self._upcast:
            return BFLOAT16
        types = {self._types[name] for name in node.input if name in self._types}
        return FLOAT if types == {FLOAT} and node.op_type not in _NARROW else self._narrow

    def _convert(self, node: onnx.NodeProto, data_type: int) -> None:
        makes_floats = node.output[0] in self._floats
        for index, name in enumerate(node.input):
            # A resize's second and third input are its region and scales, not data.
            if name in self._floats and not (node.op_type == "Resize" and index > 0):
                wanted = data_type if makes_floats else self._types.get(name, FLOAT)
                node.input[index] = self._as(name, wanted)
        for name in node.output:
            if name in self._floats:
                self._types[name] = data_type
        self._nodes.append(node)

    def _as(self, name: str, data_type: int) -> str:
        """The value in that type: itself where it has the type or can still take it, else a cast of it."""
        if name not in self._types:
            if tensor := self._constants.get(name):
                _retype(tensor, data_type)
                self._types[name] = data_type
            else:
                self._convert(self._deferred.pop(name), data_type)
        if self._types[name] == data_type:
            return name
        if (name, data_type) not in self._casts:
            cast = f"{name}_as_{onnx.TensorProto.DataType.Name(data_type).lower()}"
            self._nodes.append(helper.make_node("Cast", [name], [cast], to=data_type))
            self._casts[name, data_type] = cast
        return self._casts[name, data_type]

    def _keep_output_wide(self, name: str, fixed: set[str]) -> None:
        if name in fixed or self._types.get(name, FLOAT) == FLOAT:
            return
        inner = f"{name}_narrow"
        for node in self._nodes:
            for names in (node.input, node.output):
                for index, used in enumerate(names):
                    if used == name:
                        names[index] = inner
        self._nodes.append(helper.make_node("Cast", [inner], [name], to=FLOAT))


def _attention_products(graph: onnx.GraphProto) -> set[str]:
    """The products that a softmax is taken of, and those that it is a factor in."""
    softmaxes = [node for node in graph.node if node.op_type == "Softmax"]
    scores, weights = {node.input[0] for node in softmaxes}, {node.output[0] for node in softmaxes}
    products = [node for node in graph.node if node.op_type == "MatMul"]
    return {node.output[0] for node in products if node.output[0] in scores or node.input[0] in weights}


def _float_values(model: onnx.ModelProto) -> set[str]:
    inferred = shape_inference.infer_shapes(model).graph
    typed = {value.name: value.type.tensor_type.elem_type for value in (*inferred.input, *inferred.value_info)}
    typed |= {value.name: value.type.tensor_type.elem_type for value in inferred.output}
    typed |= {tensor.name: tensor.data_type for tensor in model.graph.initializer}
    unknown = {name for node in model.graph.node for name in node.output if not typed.get(name)}
    if unknown:
        raise RuntimeError(f"{len(unknown)} values of the graph have no known type, such as {sorted(unknown)[:3]}")
    return {name for name, data_type in typed.items() if data_type == FLOAT}


def _retype(tensor: onnx.TensorProto, data_type: int) -> None:
    if tensor.data_location == onnx.TensorProto.EXTERNAL:
        tensor.data_type = data_type
    elif data_type != FLOAT:
        array = numpy_helper.to_array(tensor).astype(np.float32)
        # Masks hold the lowest float32 there is; infinities stay.
        finite = np.where(np.isinf(array), array, np.clip(array, -LARGEST[data_type], LARGEST[data_type]))
        raw = encode(finite, data_type).tobytes()
        tensor.CopyFrom(helper.make_tensor(tensor.name, data_type, list(tensor.dims), raw, raw=True))

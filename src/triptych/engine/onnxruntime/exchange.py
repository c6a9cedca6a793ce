"""Takes the weights that a LoRA can change out of a graph's constants and makes them inputs, in half precision too."""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnx import helper

_USERS = {"MatMul", "Gemm", "Conv"}


def free_weights(model: onnx.ModelProto) -> list[str]:
    """Makes every weight of a Linear or convolution layer an input, in place; returns their names.

    They keep the checkpoint's layout: ONNX Runtime merges the transposition into the product. Embeddings, norms and
    biases stay constant, for no LoRA changes them.
    """
    graph = model.graph
    users = _users(graph)
    freed = [tensor for tensor in graph.initializer if _is_layer_weight(tensor, users)]
    for tensor in freed:
        graph.initializer.remove(tensor)
        graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    return [tensor.name for tensor in freed]


def take_halves(model: onnx.ModelProto, halves: Mapping[str, int]) -> None:
    """Has the graph take these weights and embeddings in another type, by name, and widen them where they are used.

    Nothing else may use them. ONNX Runtime, which finds its order backwards from the outputs, comes to a node's inputs
    in the order of their makers' places, the last first. Widened by nodes that stand before all others, a weight is
    there for its own product only, and the next one's takes its memory; else all would be widened first.
    """
    graph = model.graph
    widening: dict[str, onnx.NodeProto] = {}
    nodes: list[onnx.NodeProto] = []
    for tensor in (*graph.input, *graph.initializer):
        if tensor.name in halves:
            _set_type(tensor, halves[tensor.name])
    for node in graph.node:
        taken = [name for name in node.input if name in halves]
        nodes.append(node)
        if taken and node.op_type == "Gather":
            nodes.append(_widened_rows(node))
        elif taken:
            widening |= {name: _widen_input(node, name) for name in taken}
    del graph.node[:]
    graph.node.extend([*widening.values(), *nodes])


def embeddings(model: onnx.ModelProto) -> list[str]:
    """The parameters of which a graph only takes rows."""
    users = _users(model.graph)
    return [
        tensor.name
        for tensor in model.graph.initializer
        if tensor.data_location == onnx.TensorProto.EXTERNAL
        and all(node.op_type == "Gather" and node.input[1] != tensor.name for node in users[tensor.name])
    ]


def _set_type(tensor: onnx.TensorProto | onnx.ValueInfoProto, data_type: int) -> None:
    if isinstance(tensor, onnx.TensorProto):
        tensor.data_type = data_type
    else:
        tensor.type.tensor_type.elem_type = data_type


def _widen_input(node: onnx.NodeProto, name: str) -> onnx.NodeProto:
    widened = f"{name}:float"
    node.input[list(node.input).index(name)] = widened
    return helper.make_node("Cast", [name], [widened], to=onnx.TensorProto.FLOAT)


def _widened_rows(gather: onnx.NodeProto) -> onnx.NodeProto:
    output = gather.output[0]
    gather.output[0] = f"{output}:half"
    return helper.make_node("Cast", [gather.output[0]], [output], to=onnx.TensorProto.FLOAT)


def _users(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    return users


def _is_layer_weight(tensor: onnx.TensorProto, users: dict[str, list[onnx.NodeProto]]) -> bool:
    if tensor.data_location != onnx.TensorProto.EXTERNAL or len(tensor.dims) < 2:
        return False
    nodes = list(users[tensor.name])
    for node in nodes:
        if node.op_type == "Transpose":
            nodes.extend(users[node.output[0]])
    return all(node.op_type in _USERS or node.op_type == "Transpose" for node in nodes)

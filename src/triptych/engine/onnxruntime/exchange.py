"""Takes what an adapter can change out of a graph's constants and makes it inputs, in half precision too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx
from onnx import helper

_USERS = {"MatMul", "Gemm", "Conv"}


def free_weights(model: onnx.ModelProto) -> list[str]:
    """Makes every weight of a Linear or convolution layer an input, in place; returns their names.

    They keep the checkpoint's layout: ONNX Runtime merges the transposition into the product.
    """
    users = _users(model.graph)
    return _free(model.graph, [tensor for tensor in model.graph.initializer if _is_layer_weight(tensor, users)])


def free_vectors(model: onnx.ModelProto) -> list[str]:
    """Likewise every bias and every weight of a norm, which few adapters change: only tables stay constant then."""
    return _free(model.graph, [tensor for tensor in model.graph.initializer if _is_vector(tensor)])


def _free(graph: onnx.GraphProto, freed: Sequence[onnx.TensorProto]) -> list[str]:
    for tensor in freed:
        graph.initializer.remove(tensor)
        graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    return [tensor.name for tensor in freed]


def take_halves(model: onnx.ModelProto, halves: Mapping[str, int]) -> None:
    """Has the graph take these inputs in another type, by name, and widen them where they are used, in place.

    ONNX Runtime, which finds its order backwards from the outputs, comes to a node's inputs in the order of their
    makers' places, the last first. Widened by nodes that stand before all others, a weight is there for its own product
    only, and the next one's takes its memory; else all would be widened first.
    """
    graph = model.graph
    for value in graph.input:
        value.type.tensor_type.elem_type = halves.get(value.name, value.type.tensor_type.elem_type)
    for node in graph.node:
        for place, name in enumerate(node.input):
            if name in halves:
                node.input[place] = f"{name}:float"
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend(helper.make_node("Cast", [name], [f"{name}:float"], to=onnx.TensorProto.FLOAT) for name in halves)
    graph.node.extend(nodes)


def _users(graph: onnx.GraphProto) -> dict[str, list[onnx.NodeProto]]:
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    return users


def _is_vector(tensor: onnx.TensorProto) -> bool:
    return tensor.data_location == onnx.TensorProto.EXTERNAL and len(tensor.dims) == 1


def _is_layer_weight(tensor: onnx.TensorProto, users: dict[str, list[onnx.NodeProto]]) -> bool:
    if tensor.data_location != onnx.TensorProto.EXTERNAL or len(tensor.dims) < 2:
        return False
    nodes = list(users[tensor.name])
    for node in nodes:
        if node.op_type == "Transpose":
            nodes.extend(users[node.output[0]])
    return all(node.op_type in _USERS or node.op_type == "Transpose" for node in nodes)

"""Takes the weights that a LoRA can change out of a graph's constants and makes them inputs."""

from __future__ import annotations

import onnx
from onnx import helper

_USERS = {"MatMul", "Gemm", "Conv"}


def free_weights(model: onnx.ModelProto) -> list[str]:
    """Makes every weight of a Linear or convolution layer an input, in place; returns their names.

    They keep the checkpoint's layout: ONNX Runtime merges the transposition into the product. Embeddings, norms and
    biases stay constant, for no LoRA changes them.
    """
    graph = model.graph
    users: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            users.setdefault(name, []).append(node)
    freed = [tensor for tensor in graph.initializer if _is_layer_weight(tensor, users)]
    for tensor in freed:
        graph.initializer.remove(tensor)
        graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, list(tensor.dims)))
    return [tensor.name for tensor in freed]


def _is_layer_weight(tensor: onnx.TensorProto, users: dict[str, list[onnx.NodeProto]]) -> bool:
    if tensor.data_location != onnx.TensorProto.EXTERNAL or len(tensor.dims) < 2:
        return False
    nodes = list(users[tensor.name])
    for node in nodes:
        if node.op_type == "Transpose":
            nodes.extend(users[node.output[0]])
    return all(node.op_type in _USERS or node.op_type == "Transpose" for node in nodes)

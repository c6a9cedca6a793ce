"""Fuses attention for ONNX Runtime, whose exporter writes it out: at 512x512 the scores alone would take gigabytes.

softmax(q k^T / sqrt(d)) v on [B, tokens, heads * d] becomes one com.microsoft.MultiHeadAttention, which holds one tile
of the scores at a time (FlashAttention-2, https://arxiv.org/abs/2307.08691). Done at load and not in the exported
graph, which stays standard ONNX for other engines.
"""

from __future__ import annotations

import onnx
from onnx import helper, numpy_helper

_HEADS_FIRST = [0, 2, 1, 3]
# From an operand of a product back to the tensor [B, tokens, heads * d] that it is a view of.
_QUERY = (("Mul", None), ("Transpose", _HEADS_FIRST), ("Reshape", None))
_KEY = (("Mul", None), ("Reshape", None), ("Transpose", [0, 2, 1]), ("Reshape", None), *_QUERY[1:])
_VALUE = _QUERY[1:]


def fuse_attention(model: onnx.ModelProto) -> int:
    """Replaces every unmasked attention in place; returns how many there were. Others are left as they are."""
    graph = _Graph(model.graph)
    fused = sum(graph.fuse(node) for node in model.graph.node if node.op_type == "Softmax")
    if fused:
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
        _drop_unused(model.graph)
    return fused


class _Graph:
    def __init__(self, graph: onnx.GraphProto) -> None:
        self._makers = {name: node for node in graph.node for name in node.output}
        self._users: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._users.setdefault(name, []).append(node)
        external = onnx.TensorProto.EXTERNAL
        self._constants = {tensor.name: tensor for tensor in graph.initializer if tensor.data_location != external}

    def fuse(self, softmax: onnx.NodeProto) -> bool:
        """Puts the fused node in the place of the last one of the pattern, if it is the pattern."""
        scores = self._makers.get(softmax.input[0])
        product = self._only_user(softmax.output[0], "MatMul")
        if scores is None or scores.op_type != "MatMul" or product is None:
            return False
        query, key = self._back(scores.input[0], _QUERY), self._back(scores.input[1], _KEY)
        value = self._back(product.input[1], _VALUE)
        merge = self._only_user(product.output[0], "Transpose", _HEADS_FIRST)
        last = self._only_user(merge.output[0], "Reshape") if merge else None
        if not (query and key and value) or last is None:
            return False
        # [batch, tokens, heads, d]
        shape = self._makers.get(query[-1].input[1])
        heads = (
            self._constant(shape.input[2]) if shape and shape.op_type == "Concat" and len(shape.input) == 4 else None
        )
        factors = self._constant(query[0].input[1]), self._constant(key[0].input[1])
        if heads is None or factors[0] is None or factors[1] is None:
            return False
        inputs = [nodes[-1].input[0] for nodes in (query, key, value)]
        attributes = {"num_heads": int(heads), "scale": factors[0] * factors[1]}
        last.CopyFrom(
            helper.make_node("MultiHeadAttention", inputs, list(last.output), domain="com.microsoft", **attributes)
        )
        return True

    def _back(self, name: str, steps: tuple[tuple[str, list[int] | None], ...]) -> list[onnx.NodeProto]:
        """The nodes on the way back along first inputs; empty if they are not of these kinds."""
        nodes = []
        for kind, permutation in steps:
            node = self._makers.get(name)
            if node is None or not _is(node, kind, permutation):
                return []
            nodes.append(node)
            name = node.input[0]
        return nodes

    def _only_user(self, name: str, kind: str, permutation: list[int] | None = None) -> onnx.NodeProto | None:
        users = self._users.get(name, [])
        return users[0] if len(users) == 1 and _is(users[0], kind, permutation) else None

    def _constant(self, name: str) -> float | None:
        """The value of a constant with one element."""
        tensor = self._constants.get(name)
        array = None if tensor is None else numpy_helper.to_array(tensor)
        return None if array is None or array.size != 1 else float(array.item())


def _is(node: onnx.NodeProto, kind: str, permutation: list[int] | None) -> bool:
    if node.op_type != kind:
        return False
    return permutation is None or helper.get_node_attr_value(node, "perm") == permutation


def _drop_unused(graph: onnx.GraphProto) -> None:
    needed = {output.name for output in graph.output}
    kept = []
    for node in reversed(graph.node):  # a user comes after its maker
        if needed.intersection(node.output):
            needed.update(node.input)
            kept.append(node)
    del graph.node[:]
    graph.node.extend(reversed(kept))
    initializers = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(initializers)

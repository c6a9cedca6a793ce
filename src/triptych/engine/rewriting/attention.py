"""Finds attention as the exporter writes it out: softmax(q k^T / sqrt(d)) v on [B, tokens, heads * d]."""

from __future__ import annotations

from dataclasses import dataclass

import onnx
from onnx import helper, numpy_helper

HEADS_FIRST = [0, 2, 1, 3]
KEYS_LAST = [0, 2, 3, 1]
# From an operand of a product back to the tensor [B, tokens, heads * d] that it is a view of. A key's two views are the
# exporter's, and that of `prompting`.
_QUERY = (("Mul", None), ("Transpose", HEADS_FIRST), ("Reshape", None))
_KEYS = (
    (("Mul", None), ("Reshape", None), ("Transpose", [0, 2, 1]), ("Reshape", None), *_QUERY[1:]),
    (("Mul", None), ("Transpose", KEYS_LAST), ("Reshape", None)),
)
_VALUE = _QUERY[1:]


@dataclass(frozen=True)
class Attention:
    """One that has no mask: `query`, `key` and `value` are [B, tokens, heads * d] by name.

    `scaled` are the names of the scaled query [B, heads, tokens, d] and of what its keys are multiplied by; `last` is
    the node that makes [B, tokens, heads * d] of what comes out.
    """

    query: str
    key: str
    value: str
    heads: int
    scale: float
    scaled: tuple[str, str]
    last: onnx.NodeProto


def attentions(graph: onnx.GraphProto) -> list[Attention]:
    """All of a graph, in its order."""
    finder = _Finder(graph)
    found = (finder.attention(node) for node in graph.node if node.op_type == "Softmax")
    return [each for each in found if each]


class _Finder:
    def __init__(self, graph: onnx.GraphProto) -> None:
        self._makers = {name: node for node in graph.node for name in node.output}
        self._users: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self._users.setdefault(name, []).append(node)
        external = onnx.TensorProto.EXTERNAL
        self._constants = {tensor.name: tensor for tensor in graph.initializer if tensor.data_location != external}

    def attention(self, softmax: onnx.NodeProto) -> Attention | None:
        scores = self._makers.get(softmax.input[0])
        product = self._only_user(softmax.output[0], "MatMul")
        if scores is None or scores.op_type != "MatMul" or product is None:
            return None
        query, value = self._back(scores.input[0], _QUERY), self._back(product.input[1], _VALUE)
        key = next((nodes for steps in _KEYS if (nodes := self._back(scores.input[1], steps))), [])
        merge = self._only_user(product.output[0], "Transpose", HEADS_FIRST)
        last = self._only_user(merge.output[0], "Reshape") if merge else None
        if not (query and key and value) or last is None:
            return None
        heads = self._heads(query[-1])
        factors = self._constant(query[0].input[1]), self._constant(key[0].input[1])
        if heads is None or factors[0] is None or factors[1] is None:
            return None
        sources = [nodes[-1].input[0] for nodes in (query, key, value)]
        scaled = scores.input[0], key[0].input[1]
        return Attention(sources[0], sources[1], sources[2], int(heads), factors[0] * factors[1], scaled, last)

    def _heads(self, view: onnx.NodeProto) -> float | None:
        """Of a query's first view, [batch, tokens, heads, d]."""
        shape = self._makers.get(view.input[1])
        is_whole = shape and shape.op_type == "Concat" and len(shape.input) == 4
        return self._constant(shape.input[2]) if shape and is_whole else None

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

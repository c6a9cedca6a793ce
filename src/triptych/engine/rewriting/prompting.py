"""Makes of a UNet's graph the one that looks at a picture beside the text: keys and values of it are an input.

Each layer's attention to a picture is written out as that to the text is, so that an engine fuses both alike.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from triptych.contract import IMAGE_PROMPT
from triptych.engine.rewriting.attention import HEADS_FIRST, KEYS_LAST, Attention, attentions

_NAME = IMAGE_PROMPT.name


def take_image_prompt(model: onnx.ModelProto, widths: Mapping[str, int], count: int) -> None:
    """Adds the input image_prompt [B, 2 count, tokens, widths], in place, to a graph whose attention is written out.

    `widths` are of the cross-attentions by their names, in the prompt's order; `count` is of adapters. RuntimeError
    where the graph has not the same.
    """
    graph = model.graph
    found = _cross_attentions(graph)
    if found.keys() != widths.keys():
        raise RuntimeError(f"the graph has {len(found)} known cross-attentions, and {len(widths)} are looked for")
    sums = {id(found[layer].last): _beside(graph, found[layer], place, count) for place, layer in enumerate(widths)}
    nodes = [each for node in graph.node for each in (node, *sums.get(id(node), ()))]
    del graph.node[:]
    graph.node.extend([*_parted(graph, list(widths.values()), 2 * count), *nodes])
    dims = [f"{_NAME}:batch", 2 * count, f"{_NAME}:tokens", sum(widths.values())]
    graph.input.append(helper.make_tensor_value_info(_NAME, onnx.TensorProto.FLOAT, dims))


def _cross_attentions(graph: onnx.GraphProto) -> dict[str, Attention]:
    """By their layers' names, which the matrix that makes the keys tells."""
    makers = {name: node for node in graph.node for name in node.output}
    layers = {
        makers[makers[each.key].input[1]].input[0].removesuffix(".to_k.weight"): each for each in attentions(graph)
    }
    return {layer: each for layer, each in layers.items() if layer.endswith(".attn2")}


def _beside(graph: onnx.GraphProto, attention: Attention, place: int, count: int) -> list[onnx.NodeProto]:
    """The same queries' attention to each picture, and the sum in the place of what the text's alone gave."""
    (output,) = attention.last.output
    terms = [f"{output}:{number}" for number in range(count + 1)]
    attention.last.output[0] = terms[0]
    view = _constant(graph, f"{_NAME}:view:{attention.heads}", [0, 0, attention.heads, -1])
    twins = [
        node
        for number, term in enumerate(terms[1:])
        for node in _twin(attention, view, _part(2 * number, place), _part(2 * number + 1, place), term)
    ]
    return [*twins, helper.make_node("Sum", terms, [output])]


def _twin(attention: Attention, view: str, key: str, value: str, output: str) -> list[onnx.NodeProto]:
    """softmax(q k^T) v of the attention's own q, which is scaled already."""
    query, factor = attention.scaled
    keys, values, scores, sums = (f"{output}:{what}" for what in ("keys", "values", "scores", "sums"))
    return [
        helper.make_node("Reshape", [key, view], [f"{keys}:view"]),
        helper.make_node("Transpose", [f"{keys}:view"], [f"{keys}:last"], perm=KEYS_LAST),
        helper.make_node("Mul", [f"{keys}:last", factor], [keys]),
        helper.make_node("Reshape", [value, view], [f"{values}:view"]),
        helper.make_node("Transpose", [f"{values}:view"], [values], perm=HEADS_FIRST),
        helper.make_node("MatMul", [query, keys], [scores]),
        helper.make_node("Softmax", [scores], [f"{scores}:weights"], axis=-1),
        helper.make_node("MatMul", [f"{scores}:weights", values], [f"{sums}:heads"]),
        helper.make_node("Transpose", [f"{sums}:heads"], [sums], perm=HEADS_FIRST),
        helper.make_node("Reshape", [sums, attention.last.input[1]], [output]),
    ]


def _parted(graph: onnx.GraphProto, widths: list[int], sides: int) -> list[onnx.NodeProto]:
    """From the input to each layer's keys and values."""
    split = _constant(graph, f"{_NAME}:widths", widths)
    nodes = []
    for side in range(sides):
        index, whole = _constant(graph, f"{_NAME}:side:{side}", side), f"{_NAME}:{side}"
        nodes.append(helper.make_node("Gather", [_NAME, index], [whole], axis=1))
        nodes.append(
            helper.make_node("Split", [whole, split], [_part(side, each) for each in range(len(widths))], axis=-1)
        )
    return nodes


def _part(side: int, place: int) -> str:
    return f"{_NAME}:{side}:{place}"


def _constant(graph: onnx.GraphProto, name: str, value: int | list[int]) -> str:
    """Of that name, once."""
    if all(tensor.name != name for tensor in graph.initializer):
        graph.initializer.append(numpy_helper.from_array(np.array(value, np.int64), name))
    return name

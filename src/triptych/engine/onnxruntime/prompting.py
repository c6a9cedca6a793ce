"""Makes of a UNet's graph the one that looks at a picture beside the text: keys and values of it are an input.

Nothing is exported for it, and the parameters stay those of the graph that was shipped or cached.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper, numpy_helper

from triptych.contract import IMAGE_PROMPT

_NAME = IMAGE_PROMPT.name


def take_image_prompt(model: onnx.ModelProto, widths: Mapping[str, int], count: int) -> None:
    """Adds the input image_prompt [B, 2 count, tokens, widths], in place, to a graph whose attention is fused.

    `widths` are of the cross-attentions by their names, in the prompt's order; `count` is of adapters. RuntimeError
    where the graph has not the same.
    """
    graph = model.graph
    fused = _cross_attentions(graph)
    if fused.keys() != widths.keys():
        raise RuntimeError(f"the graph has {len(fused)} fused cross-attentions, and {len(widths)} are looked for")
    sums = {id(fused[layer]): _beside(fused[layer], place, count) for place, layer in enumerate(widths)}
    nodes = [each for node in graph.node for each in (node, *sums.get(id(node), ()))]
    del graph.node[:]
    graph.node.extend([*_parted(graph, list(widths.values()), 2 * count), *nodes])
    dims = [f"{_NAME}:batch", 2 * count, f"{_NAME}:tokens", sum(widths.values())]
    graph.input.append(helper.make_tensor_value_info(_NAME, onnx.TensorProto.FLOAT, dims))


def _cross_attentions(graph: onnx.GraphProto) -> dict[str, onnx.NodeProto]:
    """By their layers' names, which the matrix that makes the keys tells."""
    makers = {name: node for node in graph.node for name in node.output}
    found = {}
    for node in graph.node:
        if node.op_type == "MultiHeadAttention":
            matrix = makers[makers[node.input[1]].input[1]]
            layer = matrix.input[0].removesuffix(".to_k.weight")
            if layer.endswith(".attn2"):
                found[layer] = node
    return found


def _beside(attention: onnx.NodeProto, place: int, count: int) -> list[onnx.NodeProto]:
    """The same queries' attention to each picture, and the sum in the place of what the text's alone gave."""
    (output,) = attention.output
    terms = [f"{output}:{number}" for number in range(count + 1)]
    attention.output[0] = terms[0]
    twins = []
    for number, term in enumerate(terms[1:]):
        twin = onnx.NodeProto()
        twin.CopyFrom(attention)
        twin.input[1:3] = [_part(side, place) for side in (2 * number, 2 * number + 1)]
        twin.output[0] = term
        twins.append(twin)
    return [*twins, helper.make_node("Sum", terms, [output])]


def _parted(graph: onnx.GraphProto, widths: list[int], sides: int) -> list[onnx.NodeProto]:
    """From the input to each layer's keys and values."""
    split = f"{_NAME}:widths"
    graph.initializer.append(numpy_helper.from_array(np.array(widths, np.int64), split))
    nodes = []
    for side in range(sides):
        index, whole = f"{_NAME}:side:{side}", f"{_NAME}:{side}"
        graph.initializer.append(numpy_helper.from_array(np.array(side, np.int64), index))
        nodes.append(helper.make_node("Gather", [_NAME, index], [whole], axis=1))
        nodes.append(
            helper.make_node("Split", [whole, split], [_part(side, each) for each in range(len(widths))], axis=-1)
        )
    return nodes


def _part(side: int, place: int) -> str:
    return f"{_NAME}:{side}:{place}"

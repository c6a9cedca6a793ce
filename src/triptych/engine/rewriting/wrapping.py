"""Makes of an architecture's graph the one for pictures that tile: convolutions that wrap around instead of padding.

Nothing is exported for it, and the parameters stay those of the graph that was shipped or cached.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

# The last two of an image [B, C, H, W].
_DIMENSIONS = {"y": 2, "x": 3}


def wrap_convolutions(model: onnx.ModelProto, axes: str) -> int:
    """Has every convolution that pads alike on both sides wrap around along "x", "y" or "xy", in place.

    One that pads on one side alone keeps its zeros, as the VAE encoder's that halve: torch pads for those by an
    operator of its own, which `padding_mode="circular"` does not reach either. Returns how many there were.
    """
    nodes, constants = [], dict[str, onnx.TensorProto]()
    for node in model.graph.node:
        if around := _around(node, axes):
            nodes.append(_wrap(node, around, constants))
        nodes.append(node)
    wrapped = len(nodes) - len(model.graph.node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(constants.values())
    return wrapped


def _around(node: onnx.NodeProto, axes: str) -> dict[str, int]:
    """How much a convolution takes from the other side along each axis; none where it is not to wrap."""
    if node.op_type != "Conv":
        return {}
    top, left, bottom, right = helper.get_node_attr_value(node, "pads")
    if (top, left) != (bottom, right):
        return {}
    return {axis: pad for axis, pad in (("y", top), ("x", left)) if pad and axis in axes}


def _wrap(
    convolution: onnx.NodeProto, around: dict[str, int], constants: dict[str, onnx.TensorProto]
) -> onnx.NodeProto:
    """Takes its own padding from a convolution; returns the node before it that pads in the place of that."""
    source, padded = convolution.input[0], f"{convolution.output[0]}:wrapped"
    extents = list(around.values())
    names = [_constant(constants, each) for each in (extents * 2, [_DIMENSIONS[axis] for axis in around])]
    convolution.input[0] = padded
    (pads,) = (attribute for attribute in convolution.attribute if attribute.name == "pads")
    kept = [0 if axis in around else pad for axis, pad in zip("yx", pads.ints, strict=False)]
    pads.ints[:] = kept * 2
    return helper.make_node("Pad", [source, names[0], "", names[1]], [padded], mode="wrap")


def _constant(constants: dict[str, onnx.TensorProto], values: list[int]) -> str:
    name = "wrapping:" + "-".join(map(str, values))
    constants[name] = numpy_helper.from_array(np.array(values, np.int64), name)
    return name

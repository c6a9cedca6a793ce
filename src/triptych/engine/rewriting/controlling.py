"""Makes of a UNet's graph the one under a ControlNet: whose residuals are inputs, and are added where diffusers does.

Nothing is exported for it, and the parameters stay those of the graph that was shipped or cached.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import helper

# Of latents [B, C, h, w], along which a skip connection lies beside what comes up.
_CHANNELS = 1


def take_residuals(model: onnx.ModelProto, names: Sequence[str]) -> None:
    """Adds inputs of these names, in place: the skip connections' in the way down's order, and the middle's last.

    The way down ends where the way up begins, so that the skip connections are met in the opposite order. RuntimeError
    where the graph has not as many.
    """
    joined = joins(model)
    *skips, middle = names
    if len(joined) != len(skips):
        raise RuntimeError(f"the graph has {len(joined)} skip connections, and {len(skips)} residuals come")
    sums = {id(join): [_sum(join, 1, name)] for join, name in zip(joined, reversed(skips), strict=True)}
    sums[id(joined[0])].append(_sum(joined[0], 0, middle))
    nodes = [each for node in model.graph.node for each in (*sums.get(id(node), ()), node)]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.input.extend(added_input(name) for name in names)


def joins(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """Where a skip connection lies beside what comes up, the deepest first."""
    return [node for node in model.graph.node if _joins(node)]


def added_input(name: str) -> onnx.ValueInfoProto:
    """An input of that name, in whatever size: a ControlNet that pools has one number for all of h and w."""
    dims = [f"{name}:{extent}" for extent in ("batch", "channels", "height", "width")]
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, dims)


def _joins(node: onnx.NodeProto) -> bool:
    return node.op_type == "Concat" and bool(helper.get_node_attr_value(node, "axis") == _CHANNELS)


def _sum(join: onnx.NodeProto, place: int, residual: str) -> onnx.NodeProto:
    """The node that adds to one of a connection's two inputs, which takes what comes of it."""
    source = join.input[place]
    join.input[place] = f"{source}:{residual}"
    return helper.make_node("Add", [source, residual], [join.input[place]])

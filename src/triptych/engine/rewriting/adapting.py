"""Makes of a UNet's graph the one that takes a T2I-Adapter's features: inputs that are added in the way down's blocks.

Nothing is exported for it, and the parameters stay those of the graph that was shipped or cached.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnx import helper

from triptych.engine.rewriting.controlling import added_input, joins


def take_features(model: onnx.ModelProto, names: Mapping[str, int | None]) -> None:
    """Adds inputs of these names, in place: each to the skip connection of that number, or behind the middle.

    What is added to a block's end goes on into the next block, and over the skip connection too.
    """
    skips = [join.input[1] for join in reversed(joins(model))]
    middle = joins(model)[0].input[0]
    sums = {middle if place is None else skips[place]: name for name, place in names.items()}
    nodes = []
    for node in model.graph.node:
        for place, source in enumerate(node.input):
            if source in sums:
                node.input[place] = f"{source}:{sums[source]}"
        nodes.append(node)
        nodes += [_sum(made, sums[made]) for made in node.output if made in sums]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    model.graph.input.extend(added_input(name) for name in names)


def _sum(made: str, feature: str) -> onnx.NodeProto:
    return helper.make_node("Add", [made, feature], [f"{made}:{feature}"])

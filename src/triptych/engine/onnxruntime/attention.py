"""Fuses attention for ONNX Runtime, whose exporter writes it out: at 512x512 the scores alone would take gigabytes.

Each becomes one com.microsoft.MultiHeadAttention, which holds one tile of the scores at a time (FlashAttention-2,
https://arxiv.org/abs/2307.08691). Done at load and not in the exported graph, which stays standard ONNX for other
engines.
"""

from __future__ import annotations

import onnx
from onnx import helper

from triptych.engine.rewriting.attention import Attention, attentions


def fuse_attention(model: onnx.ModelProto) -> int:
    """Replaces every unmasked attention in place; returns how many there were. Others are left as they are."""
    found = attentions(model.graph)
    for each in found:
        _fuse(each)
    if found:
        model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
        _drop_unused(model.graph)
    return len(found)


def _fuse(found: Attention) -> None:
    """Puts the fused node in the place of the last one."""
    inputs, outputs = [found.query, found.key, found.value], list(found.last.output)
    attributes = {"num_heads": found.heads, "scale": found.scale}
    found.last.CopyFrom(helper.make_node("MultiHeadAttention", inputs, outputs, domain="com.microsoft", **attributes))


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

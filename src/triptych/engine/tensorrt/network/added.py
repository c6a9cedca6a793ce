"""The sizes of the inputs that a variant's graph has besides the plain one's, by those that profiles have names for."""

from __future__ import annotations

import onnx
from onnx import helper

from triptych.checkpoint import Component
from triptych.contract import IMAGE_PROMPT
from triptych.engine.conditions import added_places, cross_attention_widths
from triptych.engine.rewriting.variant import Variant
from triptych.engine.tensorrt.network.profiles import IMAGE_TOKENS, Dims


def added_dims(component: Component, variant: Variant) -> dict[str, Dims]:
    """By input. A single number for all of a picture goes as if it stood everywhere in it."""
    dims: dict[str, Dims] = {}
    if variant.is_controlled:
        for name, (channels, smaller) in added_places(component.architecture).items():
            extents = (f"latent_{side}" if smaller == 1 else f"latent_{side}/{smaller}" for side in ("height", "width"))
            dims[name] = ("batch", channels, *extents)
    if variant.prompts:
        width = sum(cross_attention_widths(component).values())
        dims[IMAGE_PROMPT.name] = ("batch", 2 * variant.prompts, IMAGE_TOKENS, width)
    return dims


def fix_sizes(model: onnx.ModelProto, dims: dict[str, Dims]) -> None:
    """Writes them into the graph, in place."""
    for value in model.graph.input:
        if value.name in dims:
            value.CopyFrom(helper.make_tensor_value_info(value.name, onnx.TensorProto.FLOAT, dims[value.name]))

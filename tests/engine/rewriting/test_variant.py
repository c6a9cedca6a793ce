"""What is made of the graphs of real architectures, those that are shipped: attention stays as an engine knows it."""

from __future__ import annotations

import onnx
import pytest

from triptych.checkpoint import Architecture
from triptych.contract import UNET
from triptych.engine.cache.artifacts import REQUEST_FILE, SHIPPED, read_graph
from triptych.engine.conditions import feature_places, residual_names
from triptych.engine.onnxruntime.attention import fuse_attention
from triptych.engine.rewriting.adapting import take_features
from triptych.engine.rewriting.attention import attentions
from triptych.engine.rewriting.controlling import take_residuals
from triptych.engine.rewriting.prompting import take_image_prompt

ADAPTERS = 2


def shipped_unets() -> list[tuple[Architecture, onnx.ModelProto]]:
    """One of each width of the text."""
    found = {}
    for folder in sorted(SHIPPED.iterdir()):
        architecture = Architecture.from_canonical((folder / REQUEST_FILE).read_text())
        if architecture.model == UNET.name:
            found[architecture.config["cross_attention_dim"]] = architecture, folder / "graph.onnx.gz"
    return [(architecture, onnx.load_model_from_string(read_graph(path))) for architecture, path in found.values()]


def softmaxes(model: onnx.ModelProto) -> int:
    return sum(node.op_type == "Softmax" for node in model.graph.node)


def test_attention_to_pictures_is_fused_as_all_other_is() -> None:
    for _, model in shipped_unets():
        makers = {name: node for node in model.graph.node for name in node.output}
        keys = [makers[makers[each.key].input[1]].input[0] for each in attentions(model.graph)]
        layers = [key.removesuffix(".to_k.weight") for key in keys if ".attn2." in key]
        before = softmaxes(model)
        assert before == len(keys) == 2 * len(layers)
        take_image_prompt(model, dict.fromkeys(layers, 8), ADAPTERS)
        assert softmaxes(model) == before + ADAPTERS * len(layers) == fuse_attention(model)
        assert softmaxes(model) == 0
        with pytest.raises(RuntimeError, match="known cross-attentions, and 1 are looked for"):
            take_image_prompt(model, {"another.attn2": 8}, ADAPTERS)


def test_everything_goes_into_one_graph() -> None:
    for architecture, model in shipped_unets():
        take_features(model, feature_places(architecture))
        take_residuals(model, residual_names(architecture))
        added = {value.name for value in model.graph.input} - {"latents", "timestep", "encoder_hidden_states"}
        assert added >= {*feature_places(architecture), *residual_names(architecture)}
        used = {name for node in model.graph.node for name in node.input}
        assert added <= used

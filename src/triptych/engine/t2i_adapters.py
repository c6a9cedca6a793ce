"""A T2I-Adapter's graph, written down layer by layer: it is a few convolutions, and whoever loads one needs no torch.

The same as diffusers' FullAdapter, FullAdapterXL and LightAdapter: image [B, C, H, W] in [0, 1] -> a feature a block.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from triptych.checkpoint import Architecture
from triptych.checkpoint.families.t2i_adapter import FULL_XL, LIGHT, features
from triptych.engine.conditions import feature_name

_OPSET = 20
_STEM = "adapter"


def adapter_graph(architecture: Architecture) -> onnx.ModelProto:
    """Every parameter is an external initializer with a name, a shape and no data, as an exported graph's are."""
    writer = _Writer()
    config = architecture.config
    value = _laid_side_by_side(writer, config["in_channels"], config["downscale_factor"])
    if config["adapter_type"] != LIGHT:
        value = writer.convolution(value, f"{_STEM}.conv_in", config["channels"][0], 3)
    made = features(architecture)
    for block, (feature, halves) in enumerate(zip(made, _halving(architecture), strict=True)):
        if halves:
            value = writer.add("AveragePool", [value], kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
        write = _light_block if config["adapter_type"] == LIGHT else _full_block
        value = write(writer, value, f"{_STEM}.body.{block}", feature.channels, config["num_res_blocks"])
        writer.node("Identity", [value], [feature_name(block)])
    return writer.model(config["in_channels"], [each.channels for each in made])


def output_names(architecture: Architecture) -> list[str]:
    """Of the features, the largest first."""
    return [feature_name(place) for place in range(len(features(architecture)))]


def _halving(architecture: Architecture) -> Iterator[bool]:
    """Of each block whether it halves the picture first."""
    is_xl = architecture.config["adapter_type"] == FULL_XL
    return (block == 2 if is_xl else block > 0 for block in range(len(features(architecture))))


def _laid_side_by_side(writer: _Writer, channels: int, pixels: int) -> str:
    """As torch's pixel_unshuffle, which counts through the colours last; ONNX's operator does so first."""
    value = writer.add("SpaceToDepth", ["image"], blocksize=pixels)
    writer.channels[value] = channels * pixels**2
    order = np.arange(channels * pixels**2).reshape(pixels**2, channels).T.ravel()
    ordered = writer.add("Gather", [value, writer.constant("order", order)], axis=1)
    writer.channels[ordered] = channels * pixels**2
    return ordered


def _full_block(writer: _Writer, value: str, stem: str, channels: int, layers: int) -> str:
    if writer.channels[value] != channels:
        value = writer.convolution(value, f"{stem}.in_conv", channels, 1)
    return _layers(writer, value, stem, channels, layers, last_kernel=1)


def _light_block(writer: _Writer, value: str, stem: str, channels: int, layers: int) -> str:
    value = writer.convolution(value, f"{stem}.in_conv", channels // 4, 1)
    value = _layers(writer, value, stem, channels // 4, layers, last_kernel=3)
    return writer.convolution(value, f"{stem}.out_conv", channels, 1)


def _layers(writer: _Writer, value: str, stem: str, channels: int, layers: int, last_kernel: int) -> str:
    for layer in range(layers):
        name = f"{stem}.resnets.{layer}"
        inside = writer.add("Relu", [writer.convolution(value, f"{name}.block1", channels, 3)])
        writer.channels[inside] = channels
        value = writer.add("Add", [writer.convolution(inside, f"{name}.block2", channels, last_kernel), value])
        writer.channels[value] = channels
    return value


class _Writer:
    """Nodes in their order, and how many channels each value has."""

    def __init__(self) -> None:
        self.channels: dict[str, int] = {}
        self._nodes: list[onnx.NodeProto] = []
        self._parameters: list[onnx.TensorProto] = []

    def node(self, operator: str, inputs: Sequence[str], outputs: Sequence[str], **attributes: object) -> None:
        """One node."""
        self._nodes.append(helper.make_node(operator, inputs, outputs, **attributes))

    def add(self, operator: str, inputs: Sequence[str], **attributes: object) -> str:
        """One whose only output, as wide as its first input, has a name of its own."""
        name = f"value_{len(self._nodes)}"
        self.node(operator, inputs, [name], **attributes)
        self.channels[name] = self.channels.get(inputs[0], 0)
        return name

    def convolution(self, value: str, name: str, channels: int, kernel: int) -> str:
        """One that keeps the size."""
        shapes = {"weight": (channels, self.channels[value], kernel, kernel), "bias": (channels,)}
        for part, shape in shapes.items():
            self._parameters.append(_placeholder(f"{name}.{part}", shape))
        pads = [kernel // 2] * 4
        made = self.add("Conv", [value, f"{name}.weight", f"{name}.bias"], kernel_shape=[kernel] * 2, pads=pads)
        self.channels[made] = channels
        return made

    def constant(self, name: str, array: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> str:
        """A value that is no parameter."""
        self._parameters.append(numpy_helper.from_array(array, name))
        return name

    def model(self, in_channels: int, channels: Sequence[int]) -> onnx.ModelProto:
        """All of it; batch, height and width stay free."""
        image = _value("image", in_channels)
        outputs = [_value(feature_name(place), width) for place, width in enumerate(channels)]
        graph = helper.make_graph(self._nodes, "t2i_adapter", [image], outputs, self._parameters)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=10)


def _value(name: str, channels: int) -> onnx.ValueInfoProto:
    dims = ["batch", channels, f"{name}:height", f"{name}:width"]
    return helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, dims)


def _placeholder(name: str, dims: Sequence[int]) -> onnx.TensorProto:
    tensor = onnx.TensorProto(name=name, data_type=onnx.TensorProto.FLOAT, dims=dims)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="checkpoint")
    return tensor

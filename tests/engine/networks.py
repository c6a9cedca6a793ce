"""Small ONNX files of preprocessors' networks, each a few convolutions, and what is wrong with others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Dims = Sequence[int | str]
ANY: Dims = (1, 3, "height", "width")
_OPEN_MAPS = (1, "maps", "rows", "columns")


def convolutions(*layers: tuple[int, int], channels: int = 3, bias: float = 0.0) -> tuple[list[Any], list[Any]]:
    """Of the image, each with so many maps and a stride, and their weights: nodes and initializers."""
    chance = np.random.default_rng(7)
    nodes, weights = [], []
    for number, (maps, stride) in enumerate(layers):
        kernel = chance.normal(size=(maps, channels, 3, 3)).astype(np.float32) / 5
        weights += [
            numpy_helper.from_array(kernel, f"weight{number}"),
            numpy_helper.from_array(np.full(maps, bias, np.float32), f"bias{number}"),
        ]
        names = ["image", f"weight{number}", f"bias{number}"]
        nodes.append(helper.make_node("Conv", names, [f"maps{number}"], pads=[1, 1, 1, 1], strides=[stride, stride]))
    return nodes, weights


def model(
    nodes: Sequence[Any],
    weights: Sequence[Any],
    outputs: Sequence[str],
    image: Dims = ANY,
    *,
    image_type: int = TensorProto.FLOAT,
    maps_type: int = TensorProto.FLOAT,
) -> Any:
    """Of an image to those outputs."""
    inputs = [helper.make_tensor_value_info("image", image_type, image)]
    made = [helper.make_tensor_value_info(name, maps_type, _OPEN_MAPS) for name in outputs]
    graph = helper.make_graph(nodes, "network", inputs, made, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)


def saved(path: Path, made: Any) -> Path:
    onnx.save_model(made, path)
    return path


def depth(path: Path, image: Dims = ANY, maps: int = 1) -> Path:
    """One map, or so many, as large as the image."""
    nodes, weights = convolutions((maps, 1))
    return saved(path, model(nodes, weights, ["maps0"], image))


def grey(path: Path) -> Path:
    """Of an image of one channel."""
    nodes, weights = convolutions((1, 1), channels=1)
    return saved(path, model(nodes, weights, ["maps0"], (1, 1, "height", "width")))


def edges(path: Path, *strides: int) -> Path:
    """A map for each stride, smaller by it."""
    nodes, weights = convolutions(*((1, stride) for stride in strides))
    return saved(path, model(nodes, weights, [f"maps{number}" for number in range(len(strides))]))


def pose(path: Path, maps: Any, image: Dims) -> Path:
    """Those maps, 38 and then 19, a little other by each 8 x 8 pixels of an image of that size."""
    chance, parts = np.random.default_rng(7), {"fields": maps[None, :38], "joints": maps[None, 38:]}
    nodes, weights = [], []
    for name, part in parts.items():
        kernel = chance.normal(size=(part.shape[1], 3, 8, 8)).astype(np.float32) / 500
        weights += [numpy_helper.from_array(kernel, f"{name}_weight"), numpy_helper.from_array(part, f"{name}_maps")]
        nodes.append(helper.make_node("Conv", ["image", f"{name}_weight"], [f"{name}_own"], strides=[8, 8]))
        nodes.append(helper.make_node("Add", [f"{name}_own", f"{name}_maps"], [name]))
    return saved(path, model(nodes, weights, [*parts], image))


def numbers(path: Path, tables: Mapping[str, Any], image: Dims) -> Path:
    """Those, as they are, and a little more where the image is lighter."""
    nodes, weights = [helper.make_node("ReduceMean", ["image"], ["light"], keepdims=0)], []
    scale = numpy_helper.from_array(np.array(1e-4, np.float32), "scale")
    nodes.append(helper.make_node("Mul", ["light", "scale"], ["more"]))
    for name, table in tables.items():
        weights.append(numpy_helper.from_array(table, f"{name}_table"))
        nodes.append(helper.make_node("Add", [f"{name}_table", "more"], [name]))
    made = model(nodes, [scale, *weights], [*tables], image)
    for output, table in zip(made.graph.output, tables.values(), strict=True):
        output.CopyFrom(helper.make_tensor_value_info(output.name, TensorProto.FLOAT, table.shape))
    return saved(path, made)


def run(path: Path, image: Any) -> list[Any]:
    """What onnx's own reference makes of an image [C, H, W]."""
    from onnx.reference import ReferenceEvaluator

    return [array[0] for array in ReferenceEvaluator(str(path)).run(None, {"image": image[None]})]

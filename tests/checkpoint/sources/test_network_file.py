"""ONNX files of preprocessors' networks: what is told of them, and which are refused."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.checkpoint.fuzzing import bounded_memory, damaged
from tests.engine import networks
from triptych.checkpoint import Checkpoint
from triptych.checkpoint.families.preprocessors import misnamed
from triptych.checkpoint.identity.about import about
from triptych.checkpoint.onnx_files import told_normalization
from triptych.contract import PREPROCESSOR
from triptych.errors import CheckpointInvalidError

MOST_SECONDS = 20


def test_what_is_told_of_one(tmp_path: Path) -> None:
    checkpoint = Checkpoint.open(networks.depth(tmp_path / "depth.onnx"))
    part, told = checkpoint.components[PREPROCESSOR.name], about(checkpoint)
    assert not checkpoint.family.draws and checkpoint.family.prepares and checkpoint.warning == ""
    assert part.architecture.config == {"channels": 3, "height": 0, "width": 0, "outputs": 1}
    assert (told.format, told.purpose, told.precision) == ("onnx", "preparing", "float32")
    assert told.architecture.startswith("3/anyxany ") and checkpoint.weights_bytes == (27 + 1) * 4
    assert {name: info.shape for name, info in part.weights.items()} == {"weight0": (1, 3, 3, 3), "bias0": (1,)}
    sized = Checkpoint.open(networks.depth(tmp_path / "sized.onnx", (1, 3, 384, 512)))
    assert about(sized).architecture.startswith("3/512x384 ")


def test_its_name_is_a_preprocessors(tmp_path: Path) -> None:
    architecture = Checkpoint.open(networks.depth(tmp_path / "depth.onnx")).components[PREPROCESSOR.name].architecture
    assert misnamed("depth_midas", architecture) == ""
    assert "'canny' is no preprocessor that is a network" in misnamed("canny", architecture)
    assert "looks at pictures of 1 channels, and this file at 3" in misnamed("lineart_anime_denoise", architecture)
    more = networks.model(*networks.convolutions((9, 2), channels=4), ["maps0"], (1, 4, "height", "width"))
    lines = Checkpoint.open(networks.saved(tmp_path / "lines.onnx", more)).components[PREPROCESSOR.name].architecture
    assert misnamed("mlsd", lines) == "" and "of 4 channels, and this file at 3" in misnamed("mlsd", architecture)


def plain(image: networks.Dims = networks.ANY, **types: int) -> Any:
    return networks.model(*networks.convolutions((1, 1)), ["maps0"], image, **types)


def graph(*nodes: Any, **kinds: Any) -> Any:
    made, weights = networks.convolutions((1, 1))
    return networks.model([*made, *nodes], weights, ["maps0"], **kinds)


def second_input() -> Any:
    made = graph()
    made.graph.input.append(helper.make_tensor_value_info("prompt", TensorProto.FLOAT, (1, 77)))
    return made


def elsewhere() -> Any:
    """Weights in a file that a stranger chose."""
    made = graph()
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")
    return made


def elsewhere_inside() -> Any:
    """Likewise, as a constant in a branch."""
    tensor = elsewhere().graph.initializer[0]
    constant = helper.make_node("Constant", [], ["inner"], value=tensor)
    branch = helper.make_graph([constant], "branch", [], [helper.make_tensor_value_info("inner", 1, None)])
    condition = numpy_helper.from_array(np.array(True), "condition")
    made = graph(helper.make_node("If", ["condition"], ["either"], then_branch=branch, else_branch=branch))
    made.graph.initializer.append(condition)
    return made


def endless() -> Any:
    body = helper.make_graph([], "body", [], [])
    return graph(helper.make_node("Loop", ["", ""], ["last"], body=body))


def deep() -> Any:
    made = helper.make_graph([], "innermost", [], [])
    for depth in range(12):
        made = helper.make_graph([helper.make_node("If", ["c"], ["d"], then_branch=made)], f"{depth}", [], [])
    return graph(helper.make_node("If", ["c"], ["d"], then_branch=made))


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (second_input, "asks for 2 inputs, image, prompt; a preprocessor is given a picture alone"),
        (lambda: graph(image=(1, 32, 32, 3)), r"its input image is F32 \[1, 32, 32, 3\], must be float \[batch, chan"),
        (lambda: plain(image_type=TensorProto.UINT8), "is U8"),
        (lambda: plain((8, 3, 32, 32)), "batch 1 or open"),
        (
            lambda: plain((1, 3, 9000, 8)),
            "height is 9000, more than",
        ),
        (
            lambda: plain(maps_type=TensorProto.INT64),
            "its output maps0 is I64",
        ),
        (elsewhere, "has weights in another file; save it as one"),
        (elsewhere_inside, "has weights in another file; save it as one"),
        (endless, "has the operator Loop, which may go on for ever"),
        (deep, "messages more than 32 deep"),
        (onnx.ModelProto, "empty, or nothing but zeros|no graph with an input"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_is_none_is_refused(tmp_path: Path, made: Callable[[], Any], problem: str) -> None:
    path = networks.saved(tmp_path / "network.onnx", made())
    with pytest.raises(CheckpointInvalidError, match=problem) as caught:
        Checkpoint.open(path)
    assert caught.value.metadata["file"] == str(path)


@pytest.mark.parametrize(
    ("properties", "problem"),
    [
        ({"triptych.mean": "0.5"}, "its property triptych.mean must be 3 numbers with commas between, not '0.5'"),
        ({"triptych.std": "1, nan, 1"}, "triptych.std must be 3 numbers"),
        ({"triptych.std": "1, 0, 1"}, "must not be 0"),
        ({"triptych.order": "GBR"}, r"is 'GBR'; mean, std, white and order \(RGB or BGR\) are known"),
        ({"triptych.scale": "2"}, "its property triptych.scale is '2'"),
    ],
)
def test_properties_that_are_wrong_are_refused(tmp_path: Path, properties: dict[str, str], problem: str) -> None:
    made = plain()
    helper.set_model_props(made, properties)
    with pytest.raises(CheckpointInvalidError, match=problem):
        Checkpoint.open(networks.saved(tmp_path / "network.onnx", made))


def test_properties_say_which_colours_it_wants(tmp_path: Path) -> None:
    made, told = plain(), {"triptych.mean": "1, 2, 3", "triptych.white": "255", "triptych.order": "BGR"}
    helper.set_model_props(made, told | {"author": "somebody"})
    source = Checkpoint.open(networks.saved(tmp_path / "network.onnx", made)).source
    assert told_normalization(source.path, source.metadata()) == {"mean": (1, 2, 3), "white": 255, "order": "BGR"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"<!doctype html><html></html>", "a web page in place of the file"),
        (b"PK\x03\x04" + b"\1" * 100, "a pickled file of torch's"),
        (b"\x3a\xff\xff\xff\xff\x0f" + b"\1" * 20, "cannot be read as an ONNX file: it ends in the middle"),
        (b"\x3b" + b"\1" * 20, "of the unknown kind 3"),
    ],
)
def test_what_is_no_onnx_file_says_what_it_is(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "network.onnx"
    path.write_bytes(content)
    with pytest.raises(CheckpointInvalidError, match=problem):
        Checkpoint.open(path)


def test_damaged_files_are_read_or_refused_and_soon(tmp_path: Path) -> None:
    whole = networks.edges(tmp_path / "whole.onnx", 1, 2).read_bytes()
    chance, path, refused = random.Random(11), tmp_path / "damaged.onnx", 0
    with bounded_memory():
        for _ in range(300):
            path.write_bytes(damaged(whole, chance))
            began = time.monotonic()
            try:
                Checkpoint.open(path)
            except CheckpointInvalidError:
                refused += 1
            assert time.monotonic() - began < MOST_SECONDS
    assert refused > 50

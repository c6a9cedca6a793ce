"""The preprocessors' model: a file's maps in the picture's size, or each pixel's class."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import helper

from tests.engine import networks
from triptych.checkpoint import Checkpoint
from triptych.contract import PREPROCESSOR
from triptych.engine import EngineSettings, load_engine
from triptych.engine.build import open_models
from triptych.errors import CheckpointInvalidError, FailedPreconditionError, InvalidArgumentError
from triptych_vae.preparing import PreprocessorModel

IMAGE = np.random.default_rng(3).random((1, 3, 40, 56), np.float32)


def opened(path: Path) -> PreprocessorModel:
    model = PreprocessorModel()
    model.open(path, "onnxruntime", EngineSettings(1, path.parent))
    return model


def test_each_map_comes_in_the_pictures_size(tmp_path: Path) -> None:
    path = networks.edges(tmp_path / "edges.onnx", 1, 2, 8)
    (maps,) = opened(path).run({"image": IMAGE})["maps"]
    wanted = [cv2.resize(array[0], (56, 40), interpolation=cv2.INTER_LINEAR) for array in networks.run(path, IMAGE[0])]
    np.testing.assert_allclose(maps, np.stack(wanted), atol=1e-5)


def test_maps_of_one_size_come_as_they_are(tmp_path: Path) -> None:
    path = networks.edges(tmp_path / "small.onnx", 8, 8)
    (maps,) = opened(path).run({"image": IMAGE})["maps"]
    np.testing.assert_allclose(maps, np.concatenate(networks.run(path, IMAGE[0])), atol=1e-5)
    assert maps.shape == (2, 5, 7)


def test_what_is_no_map_comes_as_it_is(tmp_path: Path) -> None:
    """Numbers of another size than the picture, what is smaller in the upper left corner."""
    chance = np.random.default_rng(4)
    tables = {name: chance.normal(size=(1, 17, width)).astype(np.float32) for name, width in (("x", 90), ("y", 120))}
    path = networks.numbers(tmp_path / "points.onnx", tables, (1, 3, 40, 56))
    (found,) = opened(path).run({"image": IMAGE, "exact": np.ones((1, 1), np.uint8)})["maps"]
    across, down = networks.run(path, IMAGE[0])
    assert found.shape == (2, 17, 120) and not found[0, :, 90:].any()
    np.testing.assert_allclose(found[0, :, :90], across, atol=1e-6)
    np.testing.assert_allclose(found[1], down, atol=1e-6)
    assert np.abs(across - tables["x"][0]).max() > 1e-5


def test_numbers_that_fill_no_answer_are_refused(tmp_path: Path) -> None:
    """One output high, the other wide: beside each other they are gigabytes."""
    tables = {"high": np.ones((1, 20_000, 1), np.float32), "wide": np.ones((1, 1, 20_000), np.float32)}
    model = opened(networks.numbers(tmp_path / "long.onnx", tables, (1, 3, 40, 56)))
    with pytest.raises(InvalidArgumentError, match="becomes 2 maps of 20000 x 20000, more than a stage sends"):
        model.run({"image": IMAGE, "exact": np.ones((1, 1), np.uint8)})
    assert model.run({"image": IMAGE})["maps"].shape == (1, 2, 40, 56)


def test_of_classes_the_highest_counts(tmp_path: Path) -> None:
    nodes, weights = networks.convolutions((150, 4))
    path = networks.saved(tmp_path / "classes.onnx", networks.model(nodes, weights, ["maps0"]))
    (classes,) = opened(path).run({"image": IMAGE, "classes": np.ones((1, 1), np.uint8)})["maps"]
    (logits,) = networks.run(path, IMAGE[0])
    larger = np.stack([cv2.resize(each, (56, 40), interpolation=cv2.INTER_LINEAR) for each in logits])
    assert (classes[0] == larger.argmax(axis=0)).mean() > 0.999 and len(np.unique(classes)) > 10
    with pytest.raises(InvalidArgumentError, match="becomes 150 maps"):
        opened(path).run({"image": IMAGE})


def test_a_file_without_a_channel_axis_gives_one_map(tmp_path: Path) -> None:
    nodes, weights = networks.convolutions((1, 1))
    axis = onnx.numpy_helper.from_array(np.array([1]), "axis")
    nodes.append(helper.make_node("Squeeze", ["maps0", "axis"], ["depth"]))
    made = networks.model(nodes, [*weights, axis], ["depth"])
    del made.graph.output[0].type.tensor_type.shape.dim[1]
    path = networks.saved(tmp_path / "depth.onnx", made)
    (maps,) = opened(path).run({"image": IMAGE})["maps"]
    np.testing.assert_allclose(maps, np.stack(networks.run(path, IMAGE[0])), atol=1e-5)


def test_a_file_with_a_size_is_given_that_alone(tmp_path: Path) -> None:
    model = opened(networks.depth(tmp_path / "depth.onnx", (1, 3, 32, 48)))
    assert model.warm_up_inputs(Checkpoint.open(tmp_path / "depth.onnx"))["image"].shape == (1, 3, 32, 48)
    with pytest.raises(InvalidArgumentError, match=r"is 3 x 40 x 56, must be 3 x 32 x 48 \(channels, height, width\)"):
        model.prepare({"image": IMAGE})


def test_a_size_that_a_network_cannot_take_is_the_requests_fault(tmp_path: Path) -> None:
    nodes, weights = networks.convolutions((4, 1))
    shape = onnx.numpy_helper.from_array(np.array([1, -1, 224, 224]), "shape")
    nodes.append(helper.make_node("Reshape", ["maps0", "shape"], ["square"]))
    path = networks.saved(tmp_path / "square.onnx", networks.model(nodes, [*weights, shape], ["square"]))
    model = opened(path)  # of several sizes the one that it takes is tried too
    with pytest.raises(InvalidArgumentError, match="of 56 x 40 is none that this network takes"):
        model.run({"image": IMAGE})


def test_what_onnx_runtime_does_not_take_is_the_files_fault(tmp_path: Path) -> None:
    nodes, weights = networks.convolutions((1, 1))
    nodes[0].op_type = "Convolute"
    path = networks.saved(tmp_path / "odd.onnx", networks.model(nodes, weights, ["maps0"]))
    with pytest.raises(CheckpointInvalidError, match=r"ONNX Runtime does not take it: .*Convolute") as caught:
        opened(path)
    assert caught.value.metadata["file"] == str(path)


def test_nothing_is_built_of_one(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="which is its own graph: nothing is built of it"):
        open_models(networks.depth(tmp_path / "depth.onnx"))


def test_one_engine_alone_runs_them(tmp_path: Path) -> None:
    component = Checkpoint.open(networks.depth(tmp_path / "depth.onnx")).components[PREPROCESSOR.name]
    for name in ("torch", "tensorrt"):
        with pytest.raises(FailedPreconditionError, match=f"the {name} engine runs no ONNX files"):
            load_engine(name, component, EngineSettings(1, tmp_path))

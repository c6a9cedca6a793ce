"""Preprocessors that are networks, through the real servers: registered, asked, told, and gone again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Served
from tests.e2e.controls.test_controlnet import REQUEST, made, nets
from tests.e2e.serving import difference
from tests.engine import networks
from tests.orchestrator.pixels import poses
from tests.orchestrator.pixels.looking import looked
from tests.orchestrator.pixels.test_dwpose import PERSON, cells, points
from tests.orchestrator.pixels.test_preprocessors import drawn
from triptych import Control
from triptych.checkpoint.identity.digests import file_digest
from triptych.errors import CheckpointInvalidError, FailedPreconditionError, InvalidArgumentError
from triptych_orchestrator.pixels.preprocessors import WEIGHTED, Settings

__all__ = ["nets"]
PIXELS = drawn(160, 96)
PHOTO = Image.fromarray(PIXELS)
BY_NAME = {each.name: each for each in WEIGHTED}
PADDED = np.pad(PIXELS, [(0, 32), (0, 32), (0, 0)], mode="edge")


@pytest.fixture(scope="module")
def files(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """Registered: one of any size, one of its own, one of classes."""
    folder = tmp_path_factory.mktemp("networks")
    nodes, weights = networks.convolutions((150, 4))
    files = {
        "depth_midas": networks.depth(folder / "depth.onnx"),
        "normal_bae": networks.depth(folder / "normal.onnx", (1, 3, 48, 80), 4),
        "softedge_hed": networks.edges(folder / "edges.onnx", 1, 2, 4),
        "seg_ufade20k": networks.saved(folder / "classes.onnx", networks.model(nodes, weights, ["maps0"])),
    }
    for name, path in files.items():
        served.client.register_preprocessor(name, path)
    yield files
    for name in files:
        served.client.unregister_checkpoint(name)


def test_what_is_registered_is_ready(served: Served, files: dict[str, Path]) -> None:
    known = {each.name: each for each in served.client.preprocessors()}
    of = {"depth_midas": "depth_midas", "normal_midas": "depth_midas", "scribble_hed": "softedge_hed"}
    for name, network in of.items():
        assert (known[name].missing, known[name].checkpoint) == ("", network)
    lacking = known["openpose_hand"]
    assert (lacking.checkpoint, lacking.checkpoints) == ("", ["openpose", "openpose_hand"])
    commands = "`triptych preprocessors add openpose FILE` and `triptych preprocessors add openpose_hand FILE`"
    assert lacking.missing == f"its networks' weights: ONNX files that the operator adds, by {commands}"
    assert known["depth_zoe"].missing.endswith("by `triptych preprocessors add depth_zoe FILE`")
    (told,) = (each for each in served.client.checkpoints() if each.name == "depth_midas")
    assert (told.family, told.purpose, told.format, told.precision) == ("preprocessor", "preparing", "onnx", "float32")
    with pytest.raises(InvalidArgumentError, match="a preprocessor's network"):
        served.client.generate("a red circle", checkpoint="depth_midas", width=64, height=64)


def test_its_maps_are_the_files(served: Served, files: dict[str, Path]) -> None:
    """By onnx's own reference, of the picture as it was padded."""
    image = (PADDED.transpose(2, 0, 1) / 127.5 - 1).astype(np.float32)
    ((depth,),) = networks.run(files["depth_midas"], image)
    wanted = (depth - depth.min()) / (depth.max() - depth.min()) * 255
    for name in ("depth_midas", "depth"):
        ours = np.asarray(served.client.preprocess(name, PHOTO, processor_res=0).image, np.float32)
        assert ours.shape == (96, 160, 3) and ours.std() > 10
        assert np.abs(ours - wanted[:96, :160, None]).max() <= 1.01


def test_one_with_a_size_and_one_of_classes(served: Served, files: dict[str, Path]) -> None:
    normal = served.client.preprocess("normal_bae", PHOTO, width=128, height=64).image
    assert normal.size == (128, 64) and np.asarray(normal).std() > 10
    classes = np.asarray(served.client.preprocess("seg_ufade20k", PHOTO).image)
    colours = {tuple(colour) for colour in classes.reshape(-1, 3).tolist()}
    assert 1 < len(colours) <= 150 and classes.shape == (512, 853, 3)


def test_poses_are_drawn_of_openposes_maps(served: Served, files: dict[str, Path], tmp_path: Path) -> None:
    """Worked at 853 x 512 and padded to 896 x 512, of which the network is given 322 x 184 and grey beside."""
    people = [poses.standing(60, 40, 300, 440), poses.standing(450, 60, 300, 420)]
    path = networks.pose(tmp_path / "pose.onnx", poses.maps(people, (23, 41), 8 * 512 / 184), (1, 3, 184, 328))
    served.client.register_preprocessor("openpose", path)
    try:
        ours = np.asarray(served.client.preprocess("openpose", PHOTO).image)
        with pytest.raises(FailedPreconditionError, match=r"^openpose's file gives 1 maps, not 57"):
            served.client.unregister_checkpoint("openpose")
            served.client.register_preprocessor("openpose", files["depth_midas"])
            served.client.preprocess("openpose", PHOTO)
    finally:
        served.client.unregister_checkpoint("openpose")
    looking = BY_NAME["openpose"].looking(PIXELS, Settings(512, 0, 0))
    wanted = looked(looking, {"openpose": lambda image: np.concatenate(networks.run(path, image))}, (328, 184))
    assert ours.shape == wanted.shape == (512, 853, 3) and (ours != wanted).any(axis=2).mean() < 0.001
    for person in people:
        across, down = np.rint(person[1]).astype(int)  # the neck
        assert (ours[down - 1 : down + 2, across - 1 : across + 2] == (255, 85, 0)).all()


def test_whole_bodies_are_drawn_of_two_networks(
    served: Served, nets: dict[str, Path], files: dict[str, Path], tmp_path: Path
) -> None:
    """One finds people, and the other looks at each; a picture that was drawn so names both."""
    places = np.random.default_rng(5).uniform(0.2, 0.8, (133, 2))
    people = cells(((40, 30, 200, 330), PERSON, 0.9), ((320, 40, 500, 360), PERSON, 0.8))
    lines = points([*map(tuple, places)], [0.9] * 133, (288, 384))
    found = {
        "yolox": networks.numbers(tmp_path / "people.onnx", {"output": people}, (1, 3, 640, 640)),
        "dw_openpose_full": networks.numbers(
            tmp_path / "points.onnx", {"simcc_x": lines[:1, :, :576], "simcc_y": lines[1:]}, (1, 3, 384, 288)
        ),
    }
    preprocessor = BY_NAME["dw_openpose_full"]
    served.client.register_preprocessor("yolox", found["yolox"])
    try:
        with pytest.raises(FailedPreconditionError, match=r"weights: an ONNX file .* add dw_openpose_full FILE`$"):
            served.client.preprocess("dw_openpose_full", PHOTO)
        served.client.register_preprocessor("dw_openpose_full", found["dw_openpose_full"])
        (told,) = (each for each in served.client.preprocessors() if each.name == "dw_openpose_full")
        assert (told.missing, told.checkpoint, told.checkpoints) == ("", "yolox", [*found])
        ours = np.asarray(served.client.preprocess("dw_openpose_full", PHOTO, processor_res=256).image)
        result = made(served, Control("canny", PHOTO, preprocessor="dw_openpose_full", processor_res=64))
        drawn_of = served.client.request_from(result.images[0]).made_of["checkpoints"]
    finally:
        for name in found:
            served.client.unregister_checkpoint(name)
    by_hand = {
        "yolox": lambda image: networks.run(found["yolox"], image)[0][None],
        "dw_openpose_full": lambda image: np.stack(
            [
                np.pad(each, [(0, 0), (0, 768 - each.shape[1])])
                for each in networks.run(found["dw_openpose_full"], image)
            ]
        ),
    }
    wanted = looked(preprocessor.looking(PIXELS, Settings(256, 0, 0)), by_hand)
    assert ours.shape == wanted.shape and (wanted > 0).any(axis=2).mean() > 0.1
    assert (ours != wanted).any(axis=2).mean() < 0.001
    assert {name: drawn_of[name]["weights"] for name in found} == {
        name: file_digest(path) for name, path in found.items()
    }


def test_a_controlnet_looks_at_what_the_network_makes(
    served: Served, nets: dict[str, Path], files: dict[str, Path]
) -> None:
    edges = served.client.preprocess("softedge_hed", PHOTO, processor_res=64, width=64, height=64).image
    result = made(served, Control("canny", PHOTO, preprocessor="softedge_hed", processor_res=64))
    assert difference(result, made(served, Control("canny", edges))) == 0
    assert difference(result, served.client.generate(**REQUEST)) > 0
    told = served.client.request_from(result.images[0]).made_of
    assert told["checkpoints"]["softedge_hed"]["weights"] == file_digest(files["softedge_hed"])
    assert told["models"]["softedge_hed.preprocessor"][0]["engine"] == "onnxruntime"


def test_what_a_network_would_look_at_is_bounded(served: Served, files: dict[str, Path]) -> None:
    """It wants 518 pixels of the shorter side, whatever it is worked at."""
    served.client.register_preprocessor("depth_anything", files["depth_midas"])
    try:
        assert served.client.preprocess("depth_anything", PHOTO, processor_res=64).image.size == (107, 64)
        with pytest.raises(InvalidArgumentError, match=r"would work at 129500 x 518 pixels, more than") as caught:
            served.client.preprocess("depth_anything", Image.new("L", (16000, 64)), processor_res=64)
        assert caught.value.metadata["field"] == "processor_res"
    finally:
        served.client.unregister_checkpoint("depth_anything")
    with pytest.raises(InvalidArgumentError, match=r"work at 40000 x 64 pixels, more than 32704 in a row") as caught:
        served.client.preprocess("softedge_hed", Image.new("L", (40000, 64)), processor_res=64)
    assert caught.value.metadata["field"] == "processor_res"


def test_wrong_names_and_files_are_refused_by_name(served: Served, files: dict[str, Path], tmp_path: Path) -> None:
    depth = files["depth_midas"]
    with pytest.raises(InvalidArgumentError, match=r"^name: 'edges' is no preprocessor that is a network"):
        served.client.register_preprocessor("edges", depth)
    with pytest.raises(InvalidArgumentError, match=r"^name: lineart_anime_denoise looks at pictures of 1 channels"):
        served.client.register_preprocessor("lineart_anime_denoise", depth)
    with pytest.raises(InvalidArgumentError, match="is a preprocessor's network, for preparing and not for upscaling"):
        served.client.register_upscaler("depth_zoe", depth)
    page = tmp_path / "page.onnx"
    page.write_text("<!doctype html>")
    with pytest.raises(CheckpointInvalidError, match="a web page in place of the file"):
        served.client.register_preprocessor("depth_zoe", page)
    with pytest.raises(FailedPreconditionError, match="the torch engine runs no ONNX files"):
        served.client.register_checkpoint("depth_zoe", depth, "torch", load=True)
    assert "depth_zoe" not in {each.name for each in served.client.checkpoints()}


def test_one_that_is_gone_lacks_its_weights_again(served: Served, files: dict[str, Path]) -> None:
    served.client.register_preprocessor("lineart_realistic", files["depth_midas"], load=True)
    assert served.client.preprocess("lineart", PHOTO).image.size == (853, 512)
    served.client.unregister_checkpoint("lineart_realistic")
    with pytest.raises(FailedPreconditionError, match=r"^preprocessor: lineart_realistic lacks its network's weights"):
        served.client.preprocess("lineart", PHOTO)

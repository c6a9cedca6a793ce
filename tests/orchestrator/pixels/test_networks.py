"""What networks are given, and what is drawn of their maps: beside plain arithmetic and OpenCV's own calls."""

from __future__ import annotations

import math
from typing import Any

import cv2
import numpy as np
import pytest

from tests.orchestrator.pixels.looking import looked
from tests.orchestrator.pixels.test_preprocessors import drawn
from triptych.checkpoint.families.preprocessors import CHANNELS
from triptych_orchestrator.pixels.preprocessors import WEIGHTED, Preprocessor, Settings, coco
from triptych_orchestrator.pixels.preprocessors.ade20k import PALETTE
from triptych_orchestrator.pixels.preprocessors.networks import Mapped

BY_NAME = {each.name: each for each in WEIGHTED}
MAPPED = [each for each in WEIGHTED if isinstance(each.networks[0], Mapped)]
SIZE = (64, 96)  # height and width
MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


def network(name: str) -> Mapped:
    (found,) = BY_NAME[name].networks
    assert isinstance(found, Mapped)
    return found


def maps(count: int, low: float = -1, high: float = 1) -> np.ndarray:
    noise = np.random.default_rng(5).uniform(low, high, (count, *SIZE))
    return np.stack([cv2.GaussianBlur(each, (0, 0), 3) for each in noise]).astype(np.float32)


def made(name: str, given: np.ndarray, first: float = 0, second: float = 0) -> np.ndarray:
    """In the size of what was begun, which is padded, and cut."""
    preprocessor, pixels = BY_NAME[name], drawn(SIZE[1], SIZE[0])
    settings = Settings(SIZE[0], first, second)
    assert preprocessor.begun(pixels, settings).shape[:2] == (64, 128)
    padded = np.pad(given, [(0, 0), (0, 0), (0, 32)], mode="edge")
    ours: np.ndarray = looked(preprocessor.looking(pixels, settings), {preprocessor.networks[0].name: lambda _: padded})
    return ours


def test_every_network_has_the_channels_that_its_file_must_have() -> None:
    pixels = drawn(64, 64)
    seen = {network.name: network.seen(pixels, (0, 0)) for each in WEIGHTED for network in each.networks}
    assert {name: len(image) for name, image in seen.items()} == CHANNELS


def test_colours_are_normalized_as_each_was_trained() -> None:
    pixels = drawn(64, 64)
    unit, grey = pixels.transpose(2, 0, 1) / 255, cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    wanted: dict[str, Any] = {
        "depth_midas": unit * 2 - 1,
        "softedge_hed": unit * 255,
        "softedge_pidinet": unit[::-1],
        "lineart_coarse": unit,
        "lineart_anime_denoise": grey[None],
        "normal_bae": (unit - MEAN[:, None, None]) / STD[:, None, None],
        "depth_leres": (unit[::-1] - MEAN[:, None, None]) / STD[:, None, None],
    }
    for name, image in wanted.items():
        np.testing.assert_allclose(network(name).seen(pixels, (0, 0)), image, atol=1e-4, err_msg=name)


def test_a_file_may_want_other_colours() -> None:
    pixels = drawn(64, 64)
    other = network("depth_midas").normalizing(mean=(1.0, 2.0, 3.0), std=(2.0, 2.0, 4.0), white=255.0, order="BGR")
    wanted = (pixels[..., ::-1] - np.array([1, 2, 3])) / np.array([2, 2, 4])
    np.testing.assert_allclose(other.seen(pixels, (0, 0)), wanted.transpose(2, 0, 1), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "size", "own", "given"),
    [
        ("softedge_hed", (640, 512), (0, 0), (640, 512)),
        ("softedge_hed", (640, 512), (480, 320), (480, 320)),
        ("softedge_hed", (640, 512), (0, 320), (640, 320)),
        ("lineart_anime", (513, 512), (0, 0), (768, 512)),
        ("depth_anything", (640, 512), (0, 0), (644, 518)),  # multiples of 14, and 518 at least
        ("depth_anything", (512, 640), (0, 0), (518, 644)),
        ("depth_anything_v2", (4000, 64), (0, 0), (32368, 518)),
    ],
)
def test_a_picture_is_given_in_a_size_that_the_network_takes(
    name: str, size: tuple[int, int], own: tuple[int, int], given: tuple[int, int]
) -> None:
    width, height = network(name).size(size, own)
    assert (width, height) == given and (own != (0, 0) or width % network(name).multiple == 0)


def test_maps_of_another_size_come_back_to_the_pictures() -> None:
    pixels, given = drawn(96, 64), maps(2)
    larger = network("softedge_hed").returned(given[:, ::2, ::2], pixels)
    np.testing.assert_array_equal(larger[1], cv2.resize(given[1, ::2, ::2], (96, 64), interpolation=cv2.INTER_LINEAR))
    labels = np.floor(maps(1, 0, 150))
    assert set(np.unique(network("seg_ofade20k").returned(labels[:, ::3, ::3], pixels))) <= set(np.unique(labels))


def expected(name: str, given: np.ndarray, first: float, second: float) -> Any:
    (depth, last), padded = (given[0], given[-1]), np.pad(given[0], [(0, 0), (0, 32)], mode="edge")
    unit = (depth - depth.min()) / (depth.max() - depth.min())
    likely = 0.5 + 0.5 * np.tanh(given.mean(axis=0) / 2)
    match name:
        case "depth_midas" | "depth_anything" | "depth_anything_v2":
            return unit * 255
        case "depth_zoe":
            low, high = np.percentile(padded, 2), np.percentile(padded, 85)
            return (1 - (depth - low) / (high - low)) * 255
        case "depth_leres":
            grey = (unit * 255).astype(np.uint8)
            grey = 255 - np.where(grey > first * 2.55, grey, 0)
            return np.where(grey > second * 2.55, grey, 0)
        case "normal_bae":
            return (given[-4:-1].transpose(1, 2, 0) + 1) * 127.5
        case "normal_midas":
            across, down = cv2.Sobel(padded, cv2.CV_32F, 1, 0), cv2.Sobel(padded, cv2.CV_32F, 0, 1)
            flat = (unit < first)[..., None]
            vectors = np.stack([across[:, :96], down[:, :96]], axis=2) * ~flat
            vectors = np.concatenate([vectors, np.full((*SIZE, 1), 2 * math.pi)], axis=2)
            return vectors / np.linalg.norm(vectors, axis=2, keepdims=True) * 127.5 + 127.5
        case "softedge_hed":
            return likely * 255
        case "softedge_teed":
            return np.floor(likely * (first + 1)) / first * 255
        case "softedge_pidinet":
            return last * 255
        case "lineart_realistic" | "lineart_coarse":
            return 255 - np.floor((depth * 255).clip(0, 255))
        case "lineart_anime":
            return 255 - np.floor((depth + 1) * 127.5)
        case "lineart_anime_denoise":
            return 255 - depth
    raise AssertionError(name)


NUMBERS = {"depth_leres": (30, 20), "normal_midas": (0.4, 0), "softedge_teed": (2, 0)}


@pytest.mark.parametrize("preprocessor", MAPPED, ids=lambda each: each.name)
def test_what_is_drawn_of_the_maps(preprocessor: Preprocessor) -> None:
    name = preprocessor.name
    if name.startswith(("scribble", "seg")):
        return  # below
    given = maps(8) * {"lineart_anime_denoise": 2000, "softedge_hed": 20, "softedge_teed": 20}.get(name, 5)
    first, second = NUMBERS.get(name, (0, 0))
    wanted = np.asarray(expected(name, given, first, second)).clip(0, 255)
    wanted = wanted if wanted.ndim == 3 else np.stack([wanted] * 3, axis=2)
    ours = made(name, given, first, second)
    apart = np.abs(ours - np.floor(wanted))
    assert ours.shape == (*SIZE, 3) and ours.std() > 10
    assert (apart > 1).mean() < 0.001  # a value at a threshold may be on its other side


@pytest.mark.parametrize("name", ["scribble_hed", "scribble_pidinet"])
def test_scribbles_are_strokes_along_the_edges(name: str) -> None:
    line = np.full(SIZE, -9.0 if name == "scribble_hed" else 0.0, np.float32)
    line[:, 46:54] = 9.0
    ours = made(name, line[None])
    assert set(np.unique(ours)) == {0, 255}
    assert (ours[:, 48:52] == 255).all() and not ours[:, :36].any() and not ours[:, 64:].any()


@pytest.mark.parametrize("name", ["seg_ofade20k", "seg_ufade20k"])
def test_classes_have_ade20ks_colours(name: str) -> None:
    labels = np.arange(SIZE[0] * SIZE[1], dtype=np.float32).reshape(1, *SIZE) % 151
    ours = made(name, labels)
    wall, building, sky, flag = (120, 120, 120), (180, 120, 120), (6, 230, 230), (92, 0, 255)
    assert [tuple(map(int, ours[0, place])) for place in (0, 1, 2)] == [wall, building, sky]
    assert [*map(tuple, PALETTE[149:].tolist())] == [flag, (0, 0, 0)] and len(PALETTE) == 151
    np.testing.assert_array_equal(ours, PALETTE[labels[0].astype(int)])


def test_classes_have_cocos_colours() -> None:
    """Things come first, from a person to a toothbrush, and stuff from a banner to a rug."""
    labels = np.arange(SIZE[0] * SIZE[1], dtype=np.float32).reshape(1, *SIZE) % 134
    ours = made("seg_ofcoco", labels)
    person, bicycle = (220, 20, 60), (119, 11, 32)
    assert [tuple(map(int, ours[0, place])) for place in (0, 1)] == [person, bicycle]
    assert [*map(tuple, coco.PALETTE[[79, 80, 132, 133]].tolist())] == [
        (191, 162, 208),
        (255, 255, 128),
        (250, 141, 255),
        (0, 0, 0),
    ]
    np.testing.assert_array_equal(ours, coco.PALETTE[labels[0].astype(int)])


def test_flat_maps_are_no_division_by_nothing() -> None:
    for preprocessor in MAPPED:
        ours = made(preprocessor.name, np.zeros((4, *SIZE), np.float32), 0.1 if preprocessor.threshold_a else 0)
        assert ours.shape == (*SIZE, 3)

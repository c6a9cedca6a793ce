"""Preprocessors beside OpenCV's own calls."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from triptych_orchestrator.pixels.preprocessors import WEIGHTED, WEIGHTLESS, Pixels, Preprocessor, Settings

BY_NAME = {each.name: each for each in WEIGHTLESS}


def drawn(width: int, height: int) -> Pixels:
    """A picture with shapes, colours and grain."""
    image = Image.new("RGB", (width, height), (230, 225, 210))
    draw = ImageDraw.Draw(image)
    draw.ellipse((width * 0.2, height * 0.2, width * 0.7, height * 0.8), (180, 40, 30), (20, 20, 20), 3)
    draw.rectangle((width * 0.55, height * 0.1, width * 0.9, height * 0.5), (30, 60, 160))
    grain = np.random.default_rng(4).normal(0, 6, (height, width, 3))
    return np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8)


def settings(preprocessor: Preprocessor, resolution: int, first: float | None = None, second: float = 0) -> Settings:
    a, b = preprocessor.threshold_a, preprocessor.threshold_b
    own = (a.default if a else 0) if first is None else first
    return Settings(resolution, own, second or (b.default if b else 0))


@pytest.mark.parametrize(("resolution", "size"), [(128, (128, 192)), (96, (96, 144)), (256, (256, 384))])
def test_canny_is_opencvs_at_its_resolution(resolution: int, size: tuple[int, int]) -> None:
    pixels = drawn(128, 192)
    kind = cv2.INTER_CUBIC if resolution > 128 else cv2.INTER_AREA
    scaled = cv2.resize(pixels, size, interpolation=kind)
    padded = cv2.copyMakeBorder(scaled, 0, -size[1] % 64, 0, -size[0] % 64, cv2.BORDER_REPLICATE)
    edges = cv2.Canny(padded, 100, 200)[: size[1], : size[0]]
    made = BY_NAME["canny"].run(pixels, settings(BY_NAME["canny"], resolution))
    np.testing.assert_array_equal(made, np.stack([edges] * 3, axis=2))
    assert 0.01 < (made > 0).mean() < 0.5


def expected(name: str, pixels: Pixels) -> Any:
    """By OpenCV's calls on a picture of 128 x 192, worked at as large as it is: nothing is scaled or padded."""
    values = pixels.astype(np.float32)
    hsv, lab = cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV), cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB)
    dimmed = 255 * (np.arange(256) / 255) ** 1.5
    match name:
        case "canny":
            return cv2.Canny(pixels, 100, 200)
        case "lineart_standard":
            darker = cv2.subtract(cv2.GaussianBlur(values, (0, 0), 6), values).min(axis=2).clip(0, 255)
            return cv2.multiply(darker, 127 / max(16, np.median(darker[darker > 8]))).clip(0, 255)
        case "scribble_xdog":
            coarse, fine = cv2.GaussianBlur(values, (0, 0), 5), cv2.GaussianBlur(values, (0, 0), 0.5)
            light = np.floor((255 - cv2.subtract(coarse, fine).min(axis=2)).clip(0, 255))
            return cv2.threshold(2 * (255 - light), 32, 255, cv2.THRESH_BINARY)[1]
        case "softedge_sobel":
            smooth = cv2.GaussianBlur(values, (0, 0), 1)
            steep = cv2.magnitude(*(cv2.Sobel(smooth, cv2.CV_32F, *way) for way in ((1, 0), (0, 1)))).max(axis=2)
            return steep / steep.max() * 255
        case "inpaint":  # whose mask hides what it hides elsewhere
            return pixels
        case "invert":
            return cv2.bitwise_not(pixels)
        case "threshold":
            return cv2.threshold(pixels.min(axis=2), 127, 255, cv2.THRESH_BINARY)[1]
        case "recolor_luminance":
            return cv2.LUT(lab[..., 0], dimmed.astype(np.uint8))
        case "recolor_intensity":
            return cv2.LUT(hsv[..., 2], dimmed.astype(np.uint8))
        case "blur_gaussian":
            return cv2.GaussianBlur(pixels, (0, 0), 9)
        case "tile_resample":
            return cv2.resize(pixels, (64, 96), interpolation=cv2.INTER_AREA)
        case "t2ia_color_grid":
            small = cv2.resize(pixels, (2, 3), interpolation=cv2.INTER_CUBIC)
            return small.repeat(64, axis=0).repeat(64, axis=1)
    raise AssertionError(name)


@pytest.mark.parametrize("preprocessor", WEIGHTLESS, ids=lambda each: each.name)
def test_values_are_opencvs(preprocessor: Preprocessor) -> None:
    pixels = drawn(128, 192)
    first = {"recolor_luminance": 1.5, "recolor_intensity": 1.5, "tile_resample": 2}.get(preprocessor.name)
    made = preprocessor.run(pixels, settings(preprocessor, 128, first))
    wanted = expected(preprocessor.name, pixels)
    wanted = wanted if wanted.ndim == 3 else np.stack([wanted] * 3, axis=2)
    assert made.std() > 5 and made.shape == wanted.shape
    most = 1 if preprocessor.name in ("lineart_standard", "softedge_sobel") else 0  # another order of roundings
    assert np.abs(made - wanted.astype(np.float64)).max() <= most


def test_a_picture_without_lines_or_edges_gives_none() -> None:
    grey = np.full((64, 64, 3), 90, np.uint8)
    for name in ("canny", "lineart_standard", "scribble_xdog", "softedge_sobel"):
        assert not BY_NAME[name].run(grey, settings(BY_NAME[name], 64)).any()


@pytest.mark.parametrize("preprocessor", WEIGHTLESS, ids=lambda each: each.name)
@pytest.mark.parametrize("size", [(64, 64), (1, 1), (3, 200), (77, 130)])
def test_every_size_comes_out_as_large_as_it_is_worked_at(preprocessor: Preprocessor, size: tuple[int, int]) -> None:
    made = preprocessor.run(drawn(*size), settings(preprocessor, 64))
    width, height = preprocessor.worked_size(size, 64)
    assert made.shape == (height, width, 3) and made.flags.c_contiguous and made.dtype == np.uint8


def test_names_and_aliases_are_one_preprocessors_each() -> None:
    names = [name for each in (*WEIGHTLESS, *WEIGHTED) for name in (each.name, *each.aliases)]
    assert len(names) == len(set(names))
    for each in (*WEIGHTLESS, *WEIGHTED):
        assert bool(each.lacking(())) == (each in WEIGHTED)
        assert not each.lacking([network.name for network in each.networks])
        for parameter in (each.resolution, each.threshold_a, each.threshold_b):
            assert parameter is None or parameter.minimum <= parameter.default <= parameter.maximum

"""Preprocessors beside OpenCV's own calls."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw

from triptych_orchestrator.pixels.preprocessors import WEIGHTLESS, Pixels, Preprocessor, Settings

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


@pytest.mark.parametrize("preprocessor", WEIGHTLESS, ids=lambda each: each.name)
@pytest.mark.parametrize("size", [(64, 64), (1, 1), (3, 200), (77, 130)])
def test_every_size_comes_out_as_large_as_it_is_worked_at(preprocessor: Preprocessor, size: tuple[int, int]) -> None:
    made = preprocessor.run(drawn(*size), settings(preprocessor, 64))
    width, height = preprocessor.worked_size(size, 64)
    assert made.shape == (height, width, 3) and made.dtype == np.uint8


def test_names_and_aliases_are_one_preprocessors_each() -> None:
    names = [name for each in WEIGHTLESS for name in (each.name, *each.aliases)]
    assert len(names) == len(set(names))
    for each in WEIGHTLESS:
        for parameter in (each.resolution, each.threshold_a, each.threshold_b):
            assert parameter is None or parameter.minimum <= parameter.default <= parameter.maximum

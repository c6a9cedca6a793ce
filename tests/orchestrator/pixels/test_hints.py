"""Maps in the size of what is drawn: the resize modes, and what a map is kept to be."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from tests.orchestrator.pixels.test_preprocessors import drawn
from triptych_orchestrator.pixels.hints import (
    CROP_AND_RESIZE,
    JUST_RESIZE,
    RESIZE_AND_FILL,
    RESIZE_MODES,
    Pixels,
    brought,
    resized,
)


def circle(size: int, thickness: int) -> Pixels:
    canvas = np.zeros((size, size, 3), np.uint8)
    return np.asarray(cv2.circle(canvas, (size // 2, size // 2), size // 3, (255, 255, 255), thickness), np.uint8)


@pytest.mark.parametrize(("size", "kind"), [((60, 100), cv2.INTER_AREA), ((300, 200), cv2.INTER_CUBIC)])
def test_a_picture_is_resized_as_opencv_does(size: tuple[int, int], kind: int) -> None:
    pixels = drawn(120, 160)
    np.testing.assert_array_equal(resized(pixels, size), cv2.resize(pixels, size, interpolation=kind))
    assert resized(pixels, (120, 160)) is pixels


def test_labels_are_not_mixed() -> None:
    labels = np.kron(np.random.default_rng(0).integers(0, 60, (8, 8, 1)) * [1, 3, 4], np.ones((9, 9, 1)))
    labels = labels.astype(np.uint8)
    before, after = (set(map(tuple, each.reshape(-1, 3))) for each in (labels, resized(labels, (100, 50))))
    assert after == before


@pytest.mark.parametrize("size", [90, 200, 333])
def test_a_mask_stays_black_and_white_where_it_was(size: int) -> None:
    made = resized(circle(128, -1), (size, size))
    assert set(np.unique(made)) == {0, 255}
    assert abs((made > 0).mean() - (circle(128, -1) > 0).mean()) < 0.01


@pytest.mark.parametrize("size", [90, 256, 300])
def test_lines_a_pixel_wide_stay_so_and_whole(size: int) -> None:
    made = resized(circle(128, 1), (size, size))
    assert set(np.unique(made)) == {0, 255}
    grey = made[..., 0]
    assert np.count_nonzero(cv2.erode(grey, np.ones((2, 2), np.uint8))) < np.count_nonzero(grey) * 0.05
    around = 2 * np.pi * size / 3
    assert 0.8 * around < np.count_nonzero(grey) < 1.1 * around
    assert cv2.connectedComponents(grey, connectivity=8)[0] == 2  # the ground and one line


def test_what_has_other_proportions_is_stretched_cut_or_laid_on_its_borders_colour() -> None:
    pixels = np.full((40, 80, 3), (10, 200, 90), np.uint8)
    pixels[10:30, 30:50] = drawn(20, 20)
    size = (64, 64)
    np.testing.assert_array_equal(brought(pixels, size, JUST_RESIZE), resized(pixels, size))
    whole = resized(pixels, (128, 64))
    np.testing.assert_array_equal(brought(pixels, size, CROP_AND_RESIZE), whole[:, 32:96])
    laid = brought(pixels, size, RESIZE_AND_FILL)
    np.testing.assert_array_equal(laid[16:48], resized(pixels, (64, 32)))
    assert (laid[:16] == (10, 200, 90)).all() and (laid[48:] == (10, 200, 90)).all()


@pytest.mark.parametrize("mode", RESIZE_MODES)
@pytest.mark.parametrize("own", [(1, 1), (3, 500), (500, 3), (1, 70_000), (64, 65), (99, 40)])
def test_every_size_comes_to_any(own: tuple[int, int], mode: str) -> None:
    for size in ((64, 64), (8, 200), (131, 72)):
        made = brought(drawn(*own), size, mode)
        assert made.shape == (size[1], size[0], 3) and made.flags.c_contiguous

"""Straight lines of drawn maps."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest

from tests.orchestrator.pixels.looking import looked
from tests.orchestrator.pixels.test_preprocessors import drawn
from triptych.errors import FailedPreconditionError
from triptych_orchestrator.pixels.preprocessors import WEIGHTED, Settings
from triptych_orchestrator.pixels.preprocessors.straight_lines import LineNetwork

(MLSD,) = (each for each in WEIGHTED if each.name == "mlsd")
# In pixels of maps half as large as a picture of 192 x 128: from where to where.
LINES = ((10, 10, 50, 40), (70, 20, 70, 50), (20, 50, 25, 50))


def maps(lines: Any = LINES, shape: tuple[int, int] = (64, 96), sure: float = 4.0) -> np.ndarray:
    """Nine, as M-LSD's: of each line its middle, less sure around it, and its ends from there."""
    made = np.full((9, *shape), -9.0, np.float32)
    for left, top, right, bottom in lines:
        x, y = (left + right) // 2, (top + bottom) // 2
        made[0, y - 1 : y + 2, x - 1 : x + 2] = sure - 1
        made[0, y, x] = sure
        made[1:5, y, x] = left - x, top - y, right - x, bottom - y
    return made


def made(given: np.ndarray, least: float = 0.1, shortest: float = 0.1) -> np.ndarray:
    ours: np.ndarray = looked(MLSD.looking(drawn(192, 128), Settings(128, least, shortest)), {"mlsd": lambda _: given})
    return ours


def wanted(lines: Any) -> np.ndarray:
    canvas = np.zeros((128, 192), np.uint8)
    for left, top, right, bottom in lines:
        cv2.line(canvas, (2 * left, 2 * top), (2 * right, 2 * bottom), (255,))
    return np.stack([canvas] * 3, axis=2)


def test_lines_are_drawn_from_end_to_end() -> None:
    np.testing.assert_array_equal(made(maps()), wanted(LINES))
    assert not made(maps(())).any()


def test_the_unlikely_and_the_short_are_left_out() -> None:
    """Likelihoods are sigmoids; lengths are in pixels of the maps."""
    np.testing.assert_array_equal(made(maps(), shortest=5.1), wanted(LINES[:2]))
    np.testing.assert_array_equal(made(maps(), least=0.97), wanted(LINES))
    assert not made(maps(), least=0.99).any()


def test_two_hundred_are_drawn_the_likeliest() -> None:
    given = np.zeros((5, 64, 96), np.float32)
    given[0] = -9
    places = [(y, x) for y in range(1, 60, 3) for x in range(1, 94, 4)][:300]
    for number, (y, x) in enumerate(places):
        given[0, y, x], given[1:, y, x] = 3 - number / 200, (0, 0, 1, 0)
    np.testing.assert_array_equal(made(given), wanted([(x, y, x + 1, y) for y, x in places[:200]]))


def test_numbers_beyond_all_bounds_are_no_lines() -> None:
    given = maps()
    given[1:5, 25, 30] = np.inf
    given[1:5, 35, 70] = np.float32(-1e30), 0, 1e30, 0
    assert made(given)[70].any()  # from border to border


@pytest.mark.parametrize(("own", "size"), [((0, 0), (192, 128)), ((512, 512), (512, 512)), ((0, 256), (192, 256))])
def test_what_it_is_given_has_a_channel_of_ones(own: tuple[int, int], size: tuple[int, int]) -> None:
    pixels = drawn(192, 128)
    image = LineNetwork("mlsd").seen(pixels, own)
    colours = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA).transpose(2, 0, 1)
    np.testing.assert_allclose(image[:3], colours / 127.5 - 1, atol=1e-5)
    np.testing.assert_allclose(image[3], 1 / 127.5 - 1, atol=1e-6)


def test_lines_come_back_from_a_files_own_size() -> None:
    """Of maps 256 x 256 of a picture of 192 x 128."""
    given = maps([(40, 60, 120, 200)], (256, 256))
    canvas = cv2.line(np.zeros((128, 192), np.uint8), (30, 30), (90, 100), (255,))
    np.testing.assert_array_equal(made(given)[..., 0], canvas)


def test_other_maps_are_refused() -> None:
    with pytest.raises(FailedPreconditionError, match="mlsd's file gives 4 maps, not 5 or more: of lines' middles"):
        made(np.zeros((4, 64, 96), np.float32))

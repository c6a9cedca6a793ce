"""Masked content "fill": colours from around, and nothing of what lies under the mask."""

from __future__ import annotations

import numpy as np
from PIL import Image

from tests.orchestrator.pixels.test_pasting import disc
from tests.orchestrator.pixels.test_regions import noise
from triptych_orchestrator.pixels.filling import filled


def test_what_is_kept_is_untouched_and_what_is_masked_is_never_seen() -> None:
    mask, image, other = disc(100, 60), np.array(noise(100, 60)), np.array(noise(100, 60, 1))
    masked = np.asarray(mask) == 255
    other[~masked] = image[~masked]
    ours = np.asarray(filled(Image.fromarray(image), mask))
    assert (ours[~masked] == image[~masked]).all() and (ours[masked] != image[masked]).any()
    np.testing.assert_array_equal(ours, np.asarray(filled(Image.fromarray(other), mask)))


def test_a_colour_comes_from_the_nearest_side() -> None:
    pixels = np.zeros((64, 200, 3), np.uint8)
    pixels[:, :100], pixels[:, 100:] = (255, 0, 0), (0, 0, 255)
    mask = np.zeros((64, 200), np.uint8)
    mask[:, 60:140] = 255
    ours = np.asarray(filled(Image.fromarray(pixels), Image.fromarray(mask))).astype(int)
    assert ours[:, 62, 0].min() > 2 * ours[:, 62, 2].max() and ours[:, 137, 2].min() > 2 * ours[:, 137, 0].max()
    assert (np.abs(np.diff(ours[:, 60:140, 0], axis=1)) < 40).all()  # and no edge stands between them


def test_of_one_colour_nothing_else_is_made() -> None:
    plain = Image.new("RGB", (72, 40), (10, 200, 90))
    assert np.abs(np.asarray(filled(plain, disc(72, 40)), np.int16) - np.asarray(plain, np.int16)).max() <= 1


def test_where_all_is_masked_it_is_grey() -> None:
    ours = np.asarray(filled(noise(16, 16), Image.new("L", (16, 16), "white")))
    assert (ours == ours[0, 0]).all() and 126 < ours[0, 0, 0] < 129

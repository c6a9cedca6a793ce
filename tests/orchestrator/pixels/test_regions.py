"""Parts of pictures: diffusers' own crops and resizing, for any mask and size."""

from __future__ import annotations

import numpy as np
import pytest
from diffusers.image_processor import VaeImageProcessor
from PIL import Image

from triptych_orchestrator.pixels import regions
from triptych_orchestrator.pixels.regions import covering, fitted, region

PROCESSOR = VaeImageProcessor()


def noise(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


def test_a_region_is_diffusers_wherever_the_mask_is_white() -> None:
    draw = np.random.default_rng(5)
    for _ in range(400):
        width, height, padding = draw.integers(1, 90), draw.integers(1, 90), int(draw.integers(0, 40))
        pixels = np.zeros((height, width), np.uint8)
        at = [sorted(draw.integers(0, extent, 2)) for extent in (height, width)]
        pixels[at[0][0] : at[0][1] + 1, at[1][0] : at[1][1] + 1] = 3
        mask, size = Image.fromarray(pixels), (int(draw.integers(2, 17)) * 8, int(draw.integers(2, 17)) * 8)
        box = region(mask, padding, size)
        assert box == PROCESSOR.get_crop_region(mask, *size, pad=padding)
        assert np.asarray(mask.crop(box)).sum(dtype=int) == pixels.sum(dtype=int)


@pytest.mark.parametrize("size", [(64, 64), (96, 64), (40, 88)])
@pytest.mark.parametrize("own", [(33, 32), (64, 64), (10, 70), (70, 10), (64, 65), (1, 5)])
def test_resizing_into_and_over_a_size_is_diffusers(own: tuple[int, int], size: tuple[int, int]) -> None:
    image = noise(*own)
    for ours, mode in ((fitted, "fill"), (covering, "crop")):
        theirs = PROCESSOR.resize(image, size[1], size[0], resize_mode=mode)
        np.testing.assert_array_equal(np.asarray(ours(image, size)), np.asarray(theirs))


def test_a_line_of_pixels_is_resized_too() -> None:
    for own in ((1, 20_000), (20_000, 1)):
        assert fitted(noise(*own), (64, 64)).size == (64, 64) and covering(noise(64, 64), own).size == own


def test_a_line_of_a_long_picture_is_not_made_a_square(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies beyond it would be a hundred gigabytes; what is seen is the same within roundings."""
    assert covering(noise(64, 64), (1, 200_000)).size == (1, 200_000)
    smooth = noise(5, 5).resize((64, 48), Image.Resampling.BICUBIC)
    for size in ((7, 300), (300, 7), (64, 65)):
        whole = np.asarray(covering(smooth, size), np.int16)
        monkeypatch.setattr(regions, "_MOST_COVERING", 0)
        assert np.abs(np.asarray(covering(smooth, size), np.int16) - whole).max() <= 2
        monkeypatch.undo()

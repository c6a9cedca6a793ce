"""Drawn pictures laid on originals: diffusers' overlay, and not a pixel changed outside the mask."""

from __future__ import annotations

import numpy as np
from diffusers.image_processor import VaeImageProcessor
from PIL import Image

from tests.orchestrator.pixels.test_regions import noise
from triptych_orchestrator.pixels.masks import binary, blurred, inverted
from triptych_orchestrator.pixels.pasting import laid_into, laid_over, share
from triptych_orchestrator.pixels.regions import region

PROCESSOR = VaeImageProcessor(do_normalize=False, do_binarize=True, do_convert_grayscale=True)


def disc(width: int, height: int, radius: float = 0.5) -> Image.Image:
    x, y = np.meshgrid(np.linspace(-1, 1, width), np.linspace(-1, 1, height))
    return Image.fromarray(np.where(np.hypot(x - 0.2, y) < radius, 255, 0).astype(np.uint8))


def test_masks_are_softened_and_made_black_and_white_as_diffusers_does() -> None:
    mask = disc(60, 44)
    assert blurred(mask, 0) is mask
    for radius in (0, 1, 4, 40):
        soft = blurred(mask, radius)
        assert soft.tobytes() == (PROCESSOR.blur(mask, radius) if radius else mask).tobytes()
        theirs = PROCESSOR.preprocess(soft, height=40, width=56)[0, 0].numpy()
        np.testing.assert_array_equal(binary(soft.resize((56, 40), Image.Resampling.LANCZOS)), theirs == 1)
    grey = Image.fromarray(np.array([[0, 127, 128, 255]], np.uint8))
    assert binary(grey).tolist() == [[False, False, True, True]]
    assert binary(inverted(grey)).tolist() == [[True, True, False, False]]


def test_a_part_is_laid_on_as_diffusers_lays_it() -> None:
    original, drawn = noise(90, 70), noise(64, 64, 1)
    for radius in (0, 5):
        mask = blurred(disc(90, 70, 0.3), radius)
        box = region(mask, 6, drawn.size)
        ours = laid_into(drawn, original.copy(), mask.crop(box), box)
        theirs = PROCESSOR.apply_overlay(mask, original, drawn, box)
        assert np.abs(np.asarray(ours, np.int16) - np.asarray(theirs, np.int16)).max() <= 2
        outside = np.asarray(mask) == 0
        assert (np.asarray(ours)[outside] == np.asarray(original)[outside]).all()


def test_what_is_drawn_counts_whole_under_the_mask_and_fades_out_beyond() -> None:
    original, drawn, mask = noise(64, 64), noise(64, 64, 1), disc(64, 64)
    for radius in (0, 4):
        soft = blurred(mask, radius)
        ours = np.asarray(laid_over(drawn, original, share(soft)))
        assert (ours[np.asarray(soft) == 0] == np.asarray(original)[np.asarray(soft) == 0]).all()
        assert (ours[binary(soft)] == np.asarray(drawn)[binary(soft)]).all()
    assert share(Image.new("L", (1, 1), 64)).getpixel((0, 0)) == 128

"""What an inpaint ControlNet is given of a picture with a hole: diffusers' `make_inpaint_condition`."""

from __future__ import annotations

import numpy as np

from triptych.contract.controls import ControlContent, ControlNet
from triptych_unet.controls import pixels_of


def test_what_is_hidden_is_minus_one() -> None:
    image = np.random.default_rng(2).integers(0, 256, (4, 6, 3), np.uint8)
    mask = np.array([0, 255], np.uint8).repeat(12).reshape(4, 6)
    content = ControlContent(ControlNet("/models/inpaint"), 6, 4, has_mask=True)
    assert ControlContent.decoded(content.encoded()) == content
    wanted = image.astype(np.float32) / 255
    wanted[mask.astype(np.float32) / 255 > 0.5] = -1.0
    ours = pixels_of(content, np.dstack([image, mask]).tobytes())
    np.testing.assert_array_equal(ours, wanted.transpose(2, 0, 1)[None])
    plain = ControlContent(ControlNet("/models/inpaint"), 6, 4)
    np.testing.assert_array_equal(pixels_of(plain, image.tobytes())[0], image.transpose(2, 0, 1) / np.float32(255))

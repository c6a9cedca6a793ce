"""Inpaint ControlNets through the real servers, which look at a picture with a hole; tests/parity has diffusers'."""

from __future__ import annotations

import io
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.conftest import Served
from tests.e2e.controls.test_controlnet import EDGES, made, nets
from tests.e2e.serving import difference
from tests.parity.oracle import drawn
from triptych import Control
from triptych.errors import InvalidArgumentError
from triptych.sdk.reading.verifying import asked_again

__all__ = ["nets"]
PHOTO = drawn((96, 64), 1)
X, Y = np.meshgrid(np.arange(96), np.arange(64))
IS_HIDDEN = np.hypot(X - 40, Y - 30) < 20
MASK = Image.fromarray(np.where(IS_HIDDEN, 255, 0).astype(np.uint8))
HOLE: dict[str, Any] = {"preprocessor": "inpaint"}


def encoded(image: Image.Image) -> bytes:
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def test_what_is_hidden_is_transparent(served: Served) -> None:
    (known,) = (each for each in served.client.preprocessors() if each.name == "inpaint")
    assert known.needs_mask and known.aliases == ["inpaint_global_harmonious"] and known.control_types == ["Inpaint"]
    shown = np.asarray(served.client.preprocess("inpaint_global_harmonious", PHOTO, mask_image=MASK).image)
    np.testing.assert_array_equal(shown[..., :3], np.asarray(PHOTO))
    np.testing.assert_array_equal(shown[..., 3] == 0, IS_HIDDEN)
    with pytest.raises(InvalidArgumentError, match=r"^mask_image: is missing"):
        served.client.preprocess("inpaint", PHOTO)


@pytest.mark.parametrize(("mode", "border"), [("crop_and_resize", False), ("resize_and_fill", True)])
def test_what_is_laid_around_a_picture_is_hidden_too(served: Served, mode: str, border: bool) -> None:
    sized = served.client.preprocess("inpaint", PHOTO, mask_image=MASK, width=64, height=64, resize_mode=mode).image
    transparent = np.asarray(sized)[..., 3] == 0
    assert sized.size == (64, 64) and transparent[32, 27] and transparent[0].all() == border
    assert 0.05 < transparent.mean() < 0.7


def test_the_picture_and_the_hole_tell(served: Served, nets: dict[str, Path]) -> None:
    """Without inpainting too: what the ControlNet is to fill is its own then."""
    first = made(served, Control("canny", PHOTO, mask_image=MASK, **HOLE))
    assert difference(first, made(served, Control("canny", PHOTO, mask_image=MASK, **HOLE))) == 0
    other = MASK.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for control in (
        Control("canny", PHOTO),
        Control("canny", PHOTO, mask_image=other, **HOLE),
        Control("canny", PHOTO.rotate(180), mask_image=MASK, **HOLE),
    ):
        assert difference(first, made(served, control)) > 0
    # What lies under the mask does not.
    covered = Image.fromarray(np.where(IS_HIDDEN[..., None], 200, np.asarray(PHOTO)).astype(np.uint8))
    sized = {"width": 96, "height": 64}
    pictures = [made(served, Control("canny", each, mask_image=MASK, **HOLE), **sized) for each in (PHOTO, covered)]
    assert difference(*pictures) == 0
    told = served.client.request_from(pictures[0].images[0])
    assert told.parameters["controls"] == [{"name": "canny", "preprocessor": "inpaint"}]
    assert len(told.files["controls"]) == 2


def test_a_picture_is_made_again_with_its_controls_files(served: Served, nets: dict[str, Path]) -> None:
    files = [encoded(image) for image in (PHOTO, MASK, EDGES)]
    first = made(served, Control("canny", files[0], mask_image=files[1], **HOLE), Control("depth", files[2]))
    told = served.client.request_from(first.images[0])
    prompt, parameters = asked_again(told, {sha256(each).hexdigest(): each for each in files})
    assert difference(first, served.client.generate(prompt, **parameters)) == 0


def test_of_an_inpainting_both_are_the_requests(served: Served, nets: dict[str, Path]) -> None:
    inpaint: dict[str, Any] = {"image": PHOTO, "mask_image": MASK, "width": 96, "height": 64}
    own = made(served, Control("canny", PHOTO, mask_image=MASK, **HOLE), **inpaint)
    for control in (Control("canny", **HOLE), Control("canny", PHOTO, **HOLE)):
        assert difference(own, made(served, control, **inpaint)) == 0
    assert difference(own, made(served, Control("canny", EDGES, **HOLE), **inpaint)) > 0
    inverted = made(served, Control("canny", **HOLE), **inpaint, invert_mask=True)
    assert difference(own, inverted) > 0


def test_of_a_part_the_same_part_is_seen(served: Served, nets: dict[str, Path]) -> None:
    inpaint: dict[str, Any] = {"image": PHOTO, "mask_image": MASK, "padding_mask_crop": 4}
    theirs = made(served, Control("canny", **HOLE), **inpaint)
    assert difference(theirs, made(served, Control("canny", PHOTO, mask_image=MASK, **HOLE), **inpaint)) == 0


def test_what_lies_outside_of_a_picture_that_grows_is_hidden(served: Served, nets: dict[str, Path]) -> None:
    grown = {"image": PHOTO, "expand": (0, 0, 32, 0), "width": None, "height": None}
    ours = made(served, Control("canny", **HOLE), **grown)
    assert ours.images[0].size == (128, 64)
    assert difference(ours, made(served, **grown)) > 0


@pytest.mark.parametrize(
    ("field", "problem", "control", "more"),
    [
        ("mask_image", "is missing; send one, white", {"image": PHOTO}, {}),
        ("mask_image", "is no picture", {"image": PHOTO, "mask_image": b"nothing"}, {}),
        ("image", "is missing; send the picture that mask_image", {"mask_image": MASK}, {}),
        ("image", "is missing", {"mask_image": MASK}, {"image": PHOTO, "mask_image": MASK}),
        ("mask_image", "several images or masks", {}, {"image": [PHOTO, EDGES], "mask_image": MASK}),
        ("processor_res", "means nothing to inpaint", {"image": PHOTO, "mask_image": MASK, "processor_res": 64}, {}),
    ],
)
def test_what_is_wrong_is_named(
    served: Served, nets: dict[str, Path], field: str, problem: str, control: dict[str, Any], more: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArgumentError, match=problem) as caught:
        made(served, Control("canny", **HOLE, **control), **more)
    assert caught.value.metadata["field"] == f"controls[0].{field}"

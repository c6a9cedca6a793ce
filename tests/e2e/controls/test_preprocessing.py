"""Preprocessors through the real servers: alone, and before a ControlNet looks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.conftest import Served
from tests.e2e.controls.test_controlnet import REQUEST, made, nets
from tests.e2e.serving import difference
from tests.orchestrator.pixels.test_preprocessors import drawn
from triptych import Control
from triptych.errors import FailedPreconditionError, InvalidArgumentError

__all__ = ["nets"]
PHOTO = Image.fromarray(drawn(160, 96))
CANNY: dict[str, Any] = {"preprocessor": "canny", "processor_res": 64}


def test_what_there_is_says_its_parameters(served: Served) -> None:
    known = {each.name: each for each in served.client.preprocessors()}
    canny = known["canny"]
    assert canny.control_types == ["Canny"] and canny.missing == ""
    resolution, low, high = canny.processor_res, canny.threshold_a, canny.threshold_b
    assert resolution and low and high
    assert (resolution.minimum, resolution.maximum, resolution.default_value) == (64, 2048, 512)
    assert (low.label, low.minimum, low.maximum, low.default_value) == ("Low Threshold", 1, 255, 100)
    assert (high.label, high.default_value, high.step) == ("High Threshold", 200, 1)


def test_a_picture_becomes_its_edges(served: Served) -> None:
    edges = served.client.preprocess("canny", PHOTO)
    assert edges.image.size == (853, 512)  # its shorter side at the default resolution
    own = served.client.preprocess("canny", PHOTO, processor_res=0, threshold_a=60, threshold_b=120)
    padded = cv2.copyMakeBorder(np.asarray(PHOTO), 0, 32, 0, 32, cv2.BORDER_REPLICATE)
    np.testing.assert_array_equal(np.asarray(own.image)[..., 0], cv2.Canny(padded, 60, 120)[:96, :160])
    for mode in ("just_resize", "crop_and_resize", "resize_and_fill"):
        sized = served.client.preprocess("canny", PHOTO, width=64, height=80, resize_mode=mode)
        assert sized.image.size == (64, 80) and set(np.unique(np.asarray(sized.image))) == {0, 255}


def test_a_picture_may_be_resized_alone(served: Served) -> None:
    own = served.client.preprocess("none", PHOTO)
    assert own.image.tobytes() == PHOTO.tobytes()
    middle = served.client.preprocess("", PHOTO, width=96, height=96, resize_mode="crop_and_resize")
    stretched = served.client.preprocess("none", PHOTO, width=64, height=64)
    assert stretched.image.tobytes() == PHOTO.resize((64, 64), Image.Resampling.LANCZOS).tobytes()
    assert middle.image.tobytes() == PHOTO.crop((32, 0, 128, 96)).tobytes()


def test_a_controlnet_looks_at_what_the_preprocessor_makes(served: Served, nets: dict[str, Path]) -> None:
    """At A1111's pixel perfect too, whose resolution follows from what is drawn."""
    mode = {"resize_mode": "crop_and_resize"}
    for resolution in (64, 0):
        edges = served.client.preprocess("canny", PHOTO, processor_res=64, width=64, height=64, **mode).image
        prepared = made(served, Control("canny", PHOTO, preprocessor="canny", processor_res=resolution, **mode))
        assert difference(prepared, made(served, Control("canny", edges))) == 0
    assert difference(prepared, made(served, Control("canny", PHOTO, **mode))) > 0
    told = served.client.request_from(prepared.images[0]).parameters["controls"]
    assert told == [{"name": "canny", "preprocessor": "canny", "processor_res": 0, "resize_mode": "crop_and_resize"}]


def test_one_that_lacks_its_weights_says_so(served: Served, nets: dict[str, Path]) -> None:
    (depth,) = (each for each in served.client.preprocessors() if each.name == "depth_midas")
    assert depth.aliases == ["depth"] and depth.missing.startswith("its network's weights")
    for name in ("depth_midas", "depth"):
        with pytest.raises(FailedPreconditionError, match=r"^preprocessor: depth_midas lacks its network's weights"):
            served.client.preprocess(name, PHOTO)
    with pytest.raises(FailedPreconditionError, match=r"^controls\[0\].preprocessor: openpose_full lacks") as caught:
        made(served, Control("canny", PHOTO, preprocessor="openpose_full"))
    assert caught.value.metadata["field"] == "controls[0].preprocessor"


def test_hr_option_says_in_which_pass_it_counts(served: Served, nets: dict[str, Path]) -> None:
    hires = {"hires": {"scale": 1.25, "strength": 0.5}}
    both, low, high = (
        served.client.generate(**REQUEST, **hires, controls=[Control("canny", PHOTO, hr_option=option)])
        for option in (None, "low_res", "high_res")
    )
    plain = served.client.generate(**REQUEST, **hires)
    pictures = [both, low, high, plain]
    assert all(difference(one, other) > 0 for i, one in enumerate(pictures) for other in pictures[:i])


@pytest.mark.parametrize(
    ("field", "problem", "control"),
    [
        ("preprocessor", "'cany' is no preprocessor; there are .*canny", {"preprocessor": "cany"}),
        ("processor_res", "from 64 to 2048, not 63", {"preprocessor": "canny", "processor_res": 63}),
        ("threshold_a", r"from 1 to 255, not nan \(canny: Low", {"preprocessor": "canny", "threshold_a": float("nan")}),
        ("threshold_b", r"from 1 to 255, not 256 \(canny: High", {"preprocessor": "canny", "threshold_b": 256}),
        ("threshold_a", "is for a preprocessor; give one", {"threshold_a": 1}),
        ("mask_image", "needs a mask; leave it out", {"preprocessor": "canny", "mask_image": PHOTO}),
        ("resize_mode", "just_resize, crop_and_resize, resize_and_fill, not 'crop'", {"resize_mode": "crop"}),
        ("hr_option", "both, low_res, high_res, not 'low'", {"hr_option": "low"}),
        ("hr_option", "give hires, or leave it out", {"hr_option": "low_res"}),
    ],
)
def test_what_is_wrong_is_named(
    served: Served, nets: dict[str, Path], field: str, problem: str, control: dict[str, Any]
) -> None:
    with pytest.raises(InvalidArgumentError, match=problem) as caught:
        served.client.generate(**REQUEST, controls=[{"name": "canny", "image": PHOTO} | control])
    assert caught.value.metadata["field"] == f"controls[0].{field}"


@pytest.mark.parametrize(
    ("field", "problem", "given"),
    [
        ("preprocessor", "'nothing' is no preprocessor", {"preprocessor": "nothing"}),
        ("image", "is missing", {"image": b""}),
        ("image", "is no picture", {"image": b"nothing"}),
        ("threshold_a", "from 1 to 255, not 0.5", {"threshold_a": 0.5}),
        ("width", "is missing; give both", {"height": 64}),
        ("height", "from 1 to 2048, not 4000", {"width": 64, "height": 4000}),
        ("resize_mode", "give width and height", {"resize_mode": "just_resize"}),
        ("processor_res", "would work at 512 x 1024000 pixels, more than", {"image": Image.new("L", (1, 2000))}),
    ],
)
def test_what_cannot_be_prepared_is_named(served: Served, field: str, problem: str, given: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgumentError, match=problem) as caught:
        served.client.preprocess(**{"preprocessor": "canny", "image": PHOTO} | given)
    assert caught.value.metadata["field"] == field

from __future__ import annotations

from typing import Any

import pytest

from triptych.errors import InvalidArgumentError
from triptych_gateway.a1111.controlnet.unit import Unit, units_of


def unit(**fields: Any) -> Unit:
    (made,) = units_of([fields], "args").values()
    return made


def test_a_unit_that_says_nothing_has_the_extensions_defaults() -> None:
    told = unit().model_dump()
    expected = {
        "enabled": True, "module": "none", "model": "None", "weight": 1.0, "image": None, "mask": None,
        "processor_res": -1, "threshold_a": -1, "threshold_b": -1, "guidance_start": 0.0, "guidance_end": 1.0,
        "pixel_perfect": False, "save_detected_map": True, "low_vram": False,
    }  # fmt: skip
    assert expected.items() <= told.items()
    assert (told["resize_mode"], told["control_mode"], told["hr_option"]) == ("crop_and_resize", "balanced", "both")


@pytest.mark.parametrize(
    ("given", "field", "value"),
    [
        ({"input_image": "a"}, "image", "a"),
        ({"lowvram": True}, "low_vram", True),
        ({"guidance": 0.5}, "guidance_end", 0.5),
        ({"mask_image": "m"}, "mask", "m"),
        ({"guessmode": True}, "guess_mode", True),
        ({"image": ""}, "image", None),
        ({"image": {"image": "a", "mask": "m"}}, "mask", "m"),
        ({"image": {"image": "a", "mask": ""}}, "mask", None),
        ({"image": ["a", "m"]}, "image", "a"),
        ({"image": [{"image": "a", "mask": "m"}]}, "mask", "m"),
        ({"resize_mode": 0}, "resize_mode", "just_resize"),
        ({"resize_mode": "Just Resize"}, "resize_mode", "just_resize"),
        ({"resize_mode": "Envelope (Outer Fit)"}, "resize_mode", "resize_and_fill"),
        ({"resize_mode": "Scale to Fit (Inner Fit)"}, "resize_mode", "crop_and_resize"),
        ({"control_mode": 1}, "control_mode", "prompt"),
        ({"control_mode": "my prompt is more important"}, "control_mode", "prompt"),
        ({"control_mode": "ControlNet is more important"}, "control_mode", "control"),
        ({"hr_option": "High res only"}, "hr_option", "high_res"),
        ({"weight": None}, "weight", 1.0),
        ({"is_ui": False, "pulid_mode": "Fidelity"}, "enabled", True),
    ],
)
def test_every_name_and_shape_is_read(given: dict[str, Any], field: str, value: Any) -> None:
    assert getattr(unit(**given), field) == value


def test_what_is_not_enabled_is_not_looked_at() -> None:
    assert list(units_of([{"enabled": False, "weight": "x"}, None, {}], "args")) == ["args[2]"]


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (False, r"args\[0\]"),
        ("canny", r"args\[0\]"),
        ({"weight": "much"}, r"args\[0\].weight"),
        ({"weight": float("nan")}, r"args\[0\].weight"),
        ({"resize_mode": "Tile"}, r"args\[0\].resize_mode: .*Just Resize, Crop and Resize"),
        ({"resize_mode": True}, r"args\[0\].resize_mode"),
        ({"control_mode": 3}, r"args\[0\].control_mode"),
        ({"image": ["a", "b", "c"]}, r"args\[0\].image"),
        ({"image": 7}, r"args\[0\].image"),
        ({"image": "a", "input_image": "b"}, r"args\[0\]: .*input_image is image by another name"),
        ({"advanced_weighting": [1.0]}, r"args\[0\].advanced_weighting"),
        ({"effective_region_mask": "m"}, r"args\[0\].effective_region_mask"),
        ({"ipadapter_input": ["t"]}, r"args\[0\].ipadapter_input"),
    ],
)
def test_what_is_wrong_is_named(given: Any, told: str) -> None:
    with pytest.raises(InvalidArgumentError, match=told):
        units_of([given], "args")

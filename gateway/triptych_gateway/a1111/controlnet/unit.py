"""A unit of the extension: one of `alwayson_scripts.ControlNet.args`, by every name that its fields have had."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from triptych.errors import invalid

# Ours, in the order of the extension's numbers; what it calls them.
RESIZE_MODES: Mapping[str, tuple[str, ...]] = {
    "just_resize": ("Just Resize",),
    "crop_and_resize": ("Crop and Resize", "Scale to Fit (Inner Fit)", "Inner Fit (Scale to Fit)"),
    "resize_and_fill": ("Resize and Fill", "Envelope (Outer Fit)", "Outer Fit (Shrink to Fit)"),
}
CONTROL_MODES: Mapping[str, tuple[str, ...]] = {
    "balanced": ("Balanced",),
    "prompt": ("My prompt is more important",),
    "control": ("ControlNet is more important",),
}
HR_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "both": ("Both",),
    "low_res": ("Low res only",),
    "high_res": ("High res only",),
}
_ALIASES: Mapping[str, str] = {
    "input_image": "image",
    "lowvram": "low_vram",
    "guidance": "guidance_end",
    "mask_image": "mask",
    "guessmode": "guess_mode",
}

Name = Annotated[str, Field(max_length=1000)]


def _ours(table: Mapping[str, tuple[str, ...]]) -> Callable[[Any], str]:
    """Reads ours of a label, in any case, or of a number."""
    names = list(table)
    by_label = {label.lower(): name for name, labels in table.items() for label in (name, *labels)}

    def read(given: Any) -> str:
        if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < len(names):
            return names[given]
        if isinstance(given, str) and given.lower() in by_label:
            return by_label[given.lower()]
        raise ValueError(f"must be one of {', '.join(labels[0] for labels in table.values())}")

    return read


class Unit(BaseModel):
    """What is not known is passed over, as the extension does; what asks for something that is not here is refused."""

    model_config = ConfigDict(allow_inf_nan=False)

    enabled: bool = True
    module: Name = "none"
    model: Name = "None"
    weight: float = 1.0
    image: str | None = None
    mask: str | None = None
    resize_mode: Annotated[str, BeforeValidator(_ours(RESIZE_MODES))] = "crop_and_resize"
    low_vram: bool = False
    processor_res: int = -1
    threshold_a: float = -1
    threshold_b: float = -1
    guidance_start: float = 0.0
    guidance_end: float = 1.0
    pixel_perfect: bool = False
    control_mode: Annotated[str, BeforeValidator(_ours(CONTROL_MODES))] = "balanced"
    guess_mode: bool = False  # before there was `control_mode`
    hr_option: Annotated[str, BeforeValidator(_ours(HR_OPTIONS))] = "both"
    save_detected_map: bool = True
    inpaint_crop_input_image: bool = True
    advanced_weighting: None = None
    effective_region_mask: None = None
    ipadapter_input: None = None
    union_control_type: Name = "Unknown"

    @model_validator(mode="before")
    @classmethod
    def _by_today_s_names(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        fields = {name: value for name, value in given.items() if value is not None and name not in _ALIASES}
        for alias, name in _ALIASES.items():
            if given.get(alias) is not None:
                if name in fields:
                    raise ValueError(f"{alias} is {name} by another name; send one of them")
                fields[name] = given[alias]
        return {**fields, **_image_and_mask(fields.get("image"))}


def _image_and_mask(given: Any) -> dict[str, Any]:
    """Of an image that brings its mask: {"image", "mask"}, [image, mask], or a list of one such; "" is none."""
    if isinstance(given, list) and len(given) == 1 and isinstance(given[0], dict):
        (given,) = given
    if isinstance(given, list) and len(given) == 2:
        given = dict(zip(("image", "mask"), given, strict=True))
    if isinstance(given, dict):
        return {name: given[name] or None for name in ("image", "mask") if name in given}
    return {} if given else {"image": None}


def units_of(args: Sequence[Any], field: str) -> dict[str, Unit]:
    """Those that are enabled, by what errors call them."""
    units = {}
    for index, given in enumerate(args):
        if given is None or (isinstance(given, dict) and given.get("enabled", True) is False):
            continue
        name = f"{field}[{index}]"
        try:
            units[name] = Unit.model_validate(given)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise invalid(".".join([name, *map(str, first["loc"])]), str(first["msg"])) from error
    return {name: unit for name, unit in units.items() if unit.enabled}

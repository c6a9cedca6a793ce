"""What a request says of ControlNets.

client.generate("a red circle", controls=[Control("canny", "edges.png", conditioning_scale=0.8)])
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from triptych.sdk.fields import set_field
from triptych.sdk.images import ImageInput, image_files
from triptych.sdk.parts.listed import set_listed


@dataclass(frozen=True)
class Control:
    """A ControlNet or a T2I-Adapter, and the picture that it looks at; None: the server's default.

    name: one of `checkpoints()` whose purpose is "controlling", made for the checkpoint's family.
    image: a PIL image, a path or a file's bytes; resized to what is drawn, by `resize_mode`.
    conditioning_scale: what its share is multiplied by, from 0 to 10; default 1.
    guidance_start, guidance_end: shares of the steps, between which it counts; default 0 and 1.
    control_mode: whose word counts more: "balanced", the default, "prompt" or "control".
    preprocessor: what the image is prepared with first, one of `preprocessors()`, which has what the next three mean,
        their ranges and defaults; default: nothing, the image is what the ControlNet is made to look at.
    processor_res: pixels of the shorter side that it works at; 0: those of what is drawn.
    threshold_a, threshold_b: its own numbers.
    resize_mode: where the image's proportions are others than what is drawn: "just_resize", the default, stretches it,
        "crop_and_resize" takes its middle, "resize_and_fill" lays it on the colour of its border.
    hr_option: in which passes of `hires` it counts: "both", the default, "low_res" or "high_res".
    union_type: of a union ControlNet, as which of its types it is to look at the image, one of the checkpoint's
        `union_types`; controls of one union are looked at together.
    mask_image: for a preprocessor that `needs_mask`, white where the ControlNet is to see nothing; default: the
        request's own, and then `image` may be left out for the request's.
    """

    name: str
    image: ImageInput | None = None
    conditioning_scale: float | None = None
    guidance_start: float | None = None
    guidance_end: float | None = None
    control_mode: str | None = None
    preprocessor: str | None = None
    processor_res: int | None = None
    threshold_a: float | None = None
    threshold_b: float | None = None
    resize_mode: str | None = None
    hr_option: str | None = None
    union_type: str | None = None
    mask_image: ImageInput | None = None


_FILES = ("image", "mask_image")
ControlChoice: TypeAlias = Control | Mapping[str, Any]
"""One, or a mapping of its fields."""


def set_controls(request: Any, controls: Sequence[ControlChoice]) -> None:
    """InvalidArgumentError about "controls", or about a field of one, that does not fit; files are read now."""
    set_listed(request, "controls", Control, controls, _fill)


def _fill(message: Any, control: Control) -> None:
    for field, value in vars(control).items():
        if value is None:
            continue
        if field in _FILES:
            (value,) = image_files([value], field)
        set_field(message, field, value)

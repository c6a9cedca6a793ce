"""How a picture is prepared for a ControlNet: what is asked, checked against what the preprocessor takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from triptych.errors import invalid
from triptych_orchestrator.jobs.extents import Size
from triptych_orchestrator.jobs.hints.preprocessors import named
from triptych_orchestrator.pixels.hints import JUST_RESIZE, RESIZE_AND_FILL, RESIZE_MODES
from triptych_orchestrator.pixels.preprocessors import Parameter, Preprocessor, Settings

# Names for leaving the picture as it is; the latter is the extension's.
NOTHING = ("", "none")
# What errors call a part of it, of a control say.
Field = Callable[[str], str]


@dataclass(frozen=True)
class AskedPreparation:
    """As it was asked for; None or empty for what was left open."""

    preprocessor: str = ""
    processor_res: int | None = None
    threshold_a: float | None = None
    threshold_b: float | None = None
    resize_mode: str = ""
    has_mask: bool = False


@dataclass(frozen=True)
class Preparation:
    """`preprocessor`, by its own name, empty: the picture is looked at as it is. `processor_res` 0: pixel perfect.

    `hides`: a mask says what of it the ControlNet is not to see.
    """

    preprocessor: str
    processor_res: int
    threshold_a: float
    threshold_b: float
    resize_mode: str
    hides: bool = False

    def settings(self, own: Size, drawn: Size) -> Settings:
        """For a picture of its own size, for what is drawn in the other."""
        scales = [there / here for here, there in zip(own, drawn, strict=True)]
        fitting = min(scales) if self.resize_mode == RESIZE_AND_FILL else max(scales)
        resolution = self.processor_res or max(1, round(fitting * min(own)))
        return Settings(resolution, self.threshold_a, self.threshold_b)


def preparation_of(asked: AskedPreparation, field: Field) -> Preparation:
    """InvalidArgumentError about what does not fit."""
    mode = asked.resize_mode or JUST_RESIZE
    if mode not in RESIZE_MODES:
        raise invalid(field("resize_mode"), f"must be one of {', '.join(RESIZE_MODES)}, not {mode!r}")
    chosen = None if asked.preprocessor in NOTHING else named(field("preprocessor"), asked.preprocessor)
    if asked.has_mask and not (chosen and chosen.needs_mask):
        raise invalid(field("mask_image"), "is for a preprocessor that needs a mask; leave it out")
    if not chosen:
        for part in ("processor_res", "threshold_a", "threshold_b"):
            if getattr(asked, part) is not None:
                raise invalid(field(part), "is for a preprocessor; give one, or leave it out")
        return Preparation("", 0, 0.0, 0.0, mode)
    resolution = _number("processor_res", asked.processor_res or None, chosen, field)
    first, second = (_number(part, getattr(asked, part), chosen, field) for part in ("threshold_a", "threshold_b"))
    resolution = 0 if asked.processor_res == 0 else resolution
    return Preparation(chosen.name, int(resolution), first, second, mode, chosen.needs_mask)


def _number(part: str, value: float | None, preprocessor: Preprocessor, field: Field) -> float:
    """Within its range, or its default; what a preprocessor does not take is refused."""
    parameter: Parameter | None = getattr(preprocessor, "resolution" if part == "processor_res" else part)
    if parameter is None:
        if value is not None:
            raise invalid(field(part), f"means nothing to {preprocessor.name}; leave it out")
        return 0.0
    if value is None:
        return parameter.default
    if not math.isfinite(value) or not parameter.minimum <= value <= parameter.maximum:
        problem = f"must be from {parameter.minimum:g} to {parameter.maximum:g}, not {value:g}"
        raise invalid(field(part), f"{problem} ({preprocessor.name}: {parameter.label})")
    return value

"""ControlNets: what a request says of them, checked, and what a job has of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from triptych.checkpoint import INSTRUCTED, Checkpoint
from triptych.checkpoint.families.controlnet_union import type_number
from triptych.checkpoint.families.controls import control_misfit, control_union_types, pixels_together
from triptych.checkpoint.families.controls import controls as is_control
from triptych.contract import T2I_ADAPTER, UNET
from triptych.errors import invalid
from triptych_orchestrator.jobs.extents import Size
from triptych_orchestrator.jobs.fields.numbers import given, real
from triptych_orchestrator.jobs.hints.hiding import Canvas
from triptych_orchestrator.jobs.hints.preparation import AskedPreparation, Field, Preparation, preparation_of
from triptych_orchestrator.jobs.hints.reading import HintReader
from triptych_orchestrator.jobs.hints.sizing import Part
from triptych_orchestrator.jobs.tasks.inpainting import Inpaint
from triptych_orchestrator.settings import Limits

# Whose word counts more, as A1111's extension has it: none's, the prompt's, or the ControlNet's.
BALANCED, PROMPT, CONTROL = "balanced", "prompt", "control"
CONTROL_MODES = (BALANCED, PROMPT, CONTROL)
_CONTROL_MODES_TOLD = {
    BALANCED: "Balanced",
    PROMPT: "My prompt is more important",
    CONTROL: "ControlNet is more important",
}
# In which of the passes with hires fix a ControlNet counts, as the extension has it.
BOTH, LOW_RES, HIGH_RES = "both", "low_res", "high_res"
HR_OPTIONS = (BOTH, LOW_RES, HIGH_RES)
_MOST_SCALE = 10.0


@dataclass(frozen=True)
class AskedControl:
    """As it was asked for; None or empty for what was left open."""

    name: str = ""
    image: bytes = b""
    conditioning_scale: float | None = None
    guidance_start: float | None = None
    guidance_end: float | None = None
    control_mode: str = ""
    preparation: AskedPreparation = field(default_factory=AskedPreparation)
    hr_option: str = ""
    union_type: str = ""
    mask_image: bytes = b""

    @property
    def files(self) -> tuple[bytes, bytes]:
        """Its pictures as they were sent."""
        return self.image, self.mask_image


@dataclass(frozen=True)
class JobControl:
    """A ControlNet by its registered name; shares are of the steps.

    `images` are what it looks at, RGB, or RGB and what the preparation hides, by width and height, one for each of the
    job's passes; `preparation` is how they came to be, and `hr_option` says in which of the passes it counts.
    `union_type` is the place of their type among a union's.
    """

    name: str
    conditioning_scale: float
    guidance_start: float
    guidance_end: float
    control_mode: str
    preparation: Preparation
    hr_option: str
    images: Mapping[Size, bytes]
    union_type: int | None = None

    def infotext(self, model: str) -> str:
        """As A1111's extension tells a unit (internal_controlnet/args.py, serialize); -1 is what it leaves open."""
        prepared, how = bool(self.preparation.preprocessor), self.preparation
        told = {
            "Module": how.preprocessor or "none",
            "Model": model,
            "Weight": self.conditioning_scale,
            "Resize Mode": how.resize_mode.replace("_", " ").title().replace(" And ", " and "),
            "Processor Res": how.processor_res or -1,
            "Threshold A": how.threshold_a if prepared else -1,
            "Threshold B": how.threshold_b if prepared else -1,
            "Guidance Start": self.guidance_start,
            "Guidance End": self.guidance_end,
            "Pixel Perfect": prepared and not how.processor_res,
            "Control Mode": _CONTROL_MODES_TOLD[self.control_mode],
        }
        return ", ".join(f"{name}: {value}" for name, value in told.items())


def control_field(index: int, part: str) -> str:
    """What errors and warnings call a part of a request's control."""
    return f"controls[{index}].{part}"


def controls_of(
    asked: Sequence[AskedControl],
    nets: Sequence[Checkpoint],
    checkpoint: Checkpoint,
    *,
    guess_mode: bool,
    has_hires: bool,
    inpaints: bool = False,
) -> tuple[JobControl, ...]:
    """Pictures left out; `nets` are what the names stand for."""
    if guess_mode and not asked:
        raise invalid("guess_mode", "says how ControlNets count; give controls, or leave it out")
    if asked and checkpoint.editing is INSTRUCTED:
        problem = f"does not go with a checkpoint that edits an image {INSTRUCTED.way}; leave it out"
        raise invalid("controls", problem)
    return tuple(
        _checked(index, control, net, checkpoint, guess_mode, has_hires, inpaints)
        for index, (control, net) in enumerate(zip(asked, nets, strict=True))
    )


def check_count(asked: Sequence[AskedControl], limits: Limits) -> None:
    """InvalidArgumentError where there are more than the operator allows."""
    if len(asked) > limits.max_controls:
        raise invalid("controls", f"must be at most {limits.max_controls}, not {len(asked)}")


def check_sizes(asked: Sequence[AskedControl], nets: Sequence[Checkpoint], sizes: Sequence[Size]) -> None:
    """InvalidArgumentError where what is drawn is no multiple of the pixels that one takes together."""
    for index, (control, net) in enumerate(zip(asked, nets, strict=True)):
        together = pixels_together(net.components)
        for width, height in sizes:
            if width % together or height % together:
                problem = f"{control.name!r} goes with multiples of {together} pixels, not {width} x {height}"
                raise invalid(control_field(index, "name"), problem)


async def read_controls(
    controls: Sequence[JobControl],
    asked: Sequence[AskedControl],
    hints: HintReader,
    sizes: Sequence[Size],
    part: Part | None,
    canvas: Canvas | None = None,
) -> tuple[tuple[JobControl, ...], tuple[str, ...]]:
    """The same with their pictures in these sizes, and what is worth knowing; `part` is what alone is drawn.

    `canvas` is what the request draws on where it inpaints.
    """
    read, warnings = [], dict[str, None]()
    for index, (control, each) in enumerate(zip(controls, asked, strict=True)):
        field = partial(control_field, index)
        images, told = await hints.hints(
            each.image, control.preparation, sizes, field, part, mask=each.mask_image, canvas=canvas
        )
        warnings |= dict.fromkeys(told)
        read.append(replace(control, images=images))
    return tuple(read), tuple(warnings)


def part_of(inpaint: Inpaint | None) -> Part | None:
    """What of the image is drawn by itself; a ControlNet's one picture can be cut for one such part alone."""
    if inpaint is None or inpaint.padding_mask_crop is None:
        return None
    parts = {Part((each.width, each.height), each.box) for each in inpaint.originals if each.box}
    if len(parts) > 1:
        raise invalid("padding_mask_crop", "draws unlike parts, and a ControlNet looks at one; send one image and mask")
    return next(iter(parts), None)


def _checked(
    index: int,
    asked: AskedControl,
    net: Checkpoint,
    checkpoint: Checkpoint,
    guess_mode: bool,
    has_hires: bool,
    inpaints: bool,
) -> JobControl:
    field = partial(control_field, index)
    if not is_control(net.components):
        raise invalid(field("name"), f"{asked.name!r} is {net.family.title}, and no ControlNet")
    unet = checkpoint.components[UNET.name].architecture
    if problem := control_misfit(net.components, unet):
        raise invalid(field("name"), f"{asked.name!r} {problem}; the checkpoint is {checkpoint.family.title}")
    preparation = preparation_of(asked.preparation, field)
    if preparation.hides:
        _check_hiding(asked, net, field, inpaints)
    elif not asked.image:
        raise invalid(field("image"), "is missing; send the picture that the ControlNet is to look at")
    start = real(field("guidance_start"), given(asked.guidance_start, 0.0), 1.0)
    end = real(field("guidance_end"), given(asked.guidance_end, 1.0), 1.0)
    if start >= end:
        raise invalid(field("guidance_start"), f"must be less than guidance_end {end:g}, not {start:g}")
    mode = asked.control_mode or BALANCED
    if mode not in CONTROL_MODES:
        raise invalid(field("control_mode"), f"must be one of {', '.join(CONTROL_MODES)}, not {mode!r}")
    if guess_mode and T2I_ADAPTER in net.components:
        problem = f"is for ControlNets, and {asked.name!r} is {net.family.title}; leave it out, or take a control_mode"
        raise invalid("guess_mode", problem)
    if guess_mode and mode != BALANCED:
        raise invalid(field("control_mode"), "does not go with guess_mode; leave one of them out")
    scale = real(field("conditioning_scale"), given(asked.conditioning_scale, 1.0), _MOST_SCALE)
    option = _hr_option(field("hr_option"), asked.hr_option or BOTH, has_hires)
    number = _union_type(field("union_type"), asked, control_union_types(net.components))
    return JobControl(asked.name, scale, start, end, mode, preparation, option, {}, number)


def _check_hiding(asked: AskedControl, net: Checkpoint, field: Field, inpaints: bool) -> None:
    """InvalidArgumentError where nothing says what is hidden, or the ControlNet would not see that it is."""
    if T2I_ADAPTER in net.components or control_union_types(net.components):
        problem = f"hides what is drawn as ControlNets are taught it, and {asked.name!r} is {net.family.title}"
        raise invalid(field("preprocessor"), f"{problem}; send the picture with black there, and no preprocessor")
    if not inpaints and not asked.mask_image:
        problem = "is missing; send one, white where the ControlNet is to see nothing, or mask_images of the request"
        raise invalid(field("mask_image"), problem)
    if not asked.image and (asked.mask_image or not inpaints):
        raise invalid(field("image"), "is missing; send the picture that mask_image is of")


def _union_type(field: str, asked: AskedControl, types: Sequence[str]) -> int | None:
    """Its number; None where the ControlNet is no union."""
    given = asked.union_type
    if not types:
        if given:
            raise invalid(field, f"is for union ControlNets, and {asked.name!r} is none; leave it out")
        return None
    number = type_number(given, types)
    if number is None:
        problem = f"must be one of {', '.join(types)}, not {given!r}: {asked.name!r} is a union ControlNet"
        raise invalid(field, problem)
    return number


def _hr_option(field: str, option: str, has_hires: bool) -> str:
    if option not in HR_OPTIONS:
        raise invalid(field, f"must be one of {', '.join(HR_OPTIONS)}, not {option!r}")
    if option != BOTH and not has_hires:
        raise invalid(field, f"{option!r} is one of hires fix's passes; give hires, or leave it out")
    return option

"""A call's ControlNet units as the server's controls and IP-Adapters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from triptych.errors import invalid
from triptych.sdk.catalog import Checkpoint, ServerInfo
from triptych.sdk.preprocessing import Preprocessor
from triptych_gateway.a1111 import checkpoints
from triptych_gateway.a1111.controlnet import image_prompts, preprocessors
from triptych_gateway.a1111.controlnet.unit import RESIZE_MODES, Unit, units_of
from triptych_gateway.a1111.drawing.requests import Common, Img2Img, Txt2Img
from triptych_gateway.errors import HttpError
from triptych_gateway.gateway import Gateway
from triptych_gateway.incoming.images import image_file

SCRIPT = "ControlNet"
_NO_MODEL = ("", "none")
_NO_TYPE = ("", "unknown")
# What errors call the parts of a control.
_WORDS = {
    "name": "model",
    "image": "image",
    "mask_image": "mask",
    "conditioning_scale": "weight",
    "guidance_start": "guidance_start",
    "guidance_end": "guidance_end",
    "control_mode": "control_mode",
    "preprocessor": "module",
    "processor_res": "processor_res",
    "threshold_a": "threshold_a",
    "threshold_b": "threshold_b",
    "resize_mode": "resize_mode",
    "hr_option": "hr_option",
    "union_type": "union_control_type",
}


@dataclass(frozen=True)
class Controls:
    """The lists are parameters of the SDK's; `shown` are controls whose pictures, as prepared, are answered too."""

    controls: list[dict[str, Any]] = field(default_factory=list)
    ip_adapters: list[dict[str, Any]] = field(default_factory=list)
    shown: list[dict[str, Any]] = field(default_factory=list)
    words: Mapping[str, str] = field(default_factory=dict)

    @property
    def parameters(self) -> dict[str, Any]:
        """Of `Generate`."""
        lists = {"controls": self.controls, "ip_adapters": self.ip_adapters}
        return {name: given for name, given in lists.items() if given}


def controlnets(known: Sequence[Checkpoint]) -> list[Checkpoint]:
    """Those of the server's checkpoints."""
    return [each for each in known if each.purpose == "controlling"]


async def controls_of(request: Common, server: ServerInfo, gateway: Gateway) -> Controls:
    """What the call's units ask for."""
    units, known, most = _units(request), server.checkpoints, server.limits.max_controls
    if not units:
        return Controls()
    if len(units) > most:
        raise invalid(f"alwayson_scripts.{SCRIPT}.args", f"must be at most {most} units, not {len(units)}")
    prompts = {name: unit for name, unit in units.items() if image_prompts.is_image_prompt(unit, known)}
    nets = {name: unit for name, unit in units.items() if name not in prompts}
    offered = await gateway.client.preprocessors() if any(_is_prepared(unit) for unit in nets.values()) else []
    controls = [await _control(name, unit, request, known, offered, gateway) for name, unit in nets.items()]
    adapters = [await _ip_adapter(name, unit, request, known, gateway) for name, unit in prompts.items()]
    words = {
        "ip_adapters": f"alwayson_scripts.{SCRIPT}.args",
        **_words("controls", list(nets), _WORDS),
        **_words("ip_adapters", list(prompts), image_prompts.WORDS),
    }
    shown = [control for control, unit in zip(controls, nets.values(), strict=True) if unit.save_detected_map]
    return Controls(controls, adapters, shown, words)


def _words(field: str, names: Sequence[str], parts: Mapping[str, str]) -> dict[str, str]:
    return {f"{field}[{at}].{part}": f"{name}.{word}" for at, name in enumerate(names) for part, word in parts.items()}


def _units(request: Common) -> dict[str, Unit]:
    """Those that count, by what errors call them; of scripts there is no other."""
    units: dict[str, Unit] = {}
    for name, given in request.alwayson_scripts.items():
        if name.lower() != SCRIPT.lower():
            problem = f"alwayson_scripts: always on script {name!r} not found; there is {SCRIPT} here"
            raise HttpError(422, problem)
        args = given.get("args", []) if isinstance(given, dict) else given
        if not isinstance(args, list):
            raise invalid(f"alwayson_scripts.{name}.args", "must be a list of units")
        units |= units_of(args, f"alwayson_scripts.{name}.args")
    return units


async def _control(
    name: str,
    unit: Unit,
    request: Common,
    known: Sequence[Checkpoint],
    offered: Sequence[Preprocessor],
    gateway: Gateway,
) -> dict[str, Any]:
    if not unit.inpaint_crop_input_image and _is_part(request):
        raise invalid(f"{name}.inpaint_crop_input_image", "false is not supported here with inpaint_full_res")
    preprocessor = preprocessors.find(offered, unit.module, f"{name}.module")
    control: dict[str, Any] = {
        "name": _model(controlnets(known), unit.model, f"{name}.model"),
        "conditioning_scale": unit.weight,
        "guidance_start": unit.guidance_start,
        "guidance_end": unit.guidance_end,
        "control_mode": "control" if unit.guess_mode else unit.control_mode,
        "hr_option": unit.hr_option if isinstance(request, Txt2Img) and request.enable_hr else None,
        "union_type": unit.union_control_type if unit.union_control_type.lower() not in _NO_TYPE else None,
        "preprocessor": preprocessor and preprocessor.name,
        **await _pictures(name, unit, request, gateway),
        **(await _mask(name, unit, request, gateway) if preprocessor and preprocessor.needs_mask else {}),
        **preprocessors.numbers_of(preprocessor, unit.model_dump()),
    }
    if unit.pixel_perfect and preprocessor is not None and preprocessor.processor_res is not None:
        control["processor_res"] = 0
    return {part: value for part, value in control.items() if value is not None}


async def _ip_adapter(
    name: str, unit: Unit, request: Common, known: Sequence[Checkpoint], gateway: Gateway
) -> dict[str, Any]:
    adapter = _model(image_prompts.prompting(known), unit.model, f"{name}.model")
    image_prompts.check_image_prompt(name, unit, isinstance(request, Txt2Img) and request.enable_hr)
    return image_prompts.image_prompt(adapter, unit, (await _pictures(name, unit, request, gateway))["image"])


async def _pictures(name: str, unit: Unit, request: Common, gateway: Gateway) -> dict[str, Any]:
    """What it looks at: the unit's own, or else what img2img begins with, resized as the call says then."""
    given, resize_mode, field = unit.image, unit.resize_mode, f"{name}.image"
    if given is None and isinstance(request, Img2Img) and request.init_images:
        given, resize_mode, field = request.init_images[0], _resize_mode(request), "init_images[0]"
    if given is None:
        raise invalid(f"{name}.image", "is missing; send what is to be looked at")
    return {"image": await image_file(given, field, gateway.settings), "resize_mode": resize_mode}


async def _mask(name: str, unit: Unit, request: Common, gateway: Gateway) -> dict[str, Any]:
    """White where it is to see nothing: the unit's own, or else the call's."""
    given, field = unit.mask, f"{name}.mask"
    if given is None and isinstance(request, Img2Img) and not request.inpainting_mask_invert:
        given, field = request.mask, "mask"
    if given is None:
        raise invalid(f"{name}.mask", f"is missing; {unit.module} wants one, white where the ControlNet sees nothing")
    return {"mask_image": await image_file(given, field, gateway.settings)}


def _model(known: Sequence[Checkpoint], wanted: str, field: str) -> str:
    if wanted.lower() in _NO_MODEL:
        titles = ", ".join(map(checkpoints.title, known)) or "none"
        raise invalid(field, f"is missing; there are {titles}")
    return checkpoints.find(known, wanted, field).name


def _is_prepared(unit: Unit) -> bool:
    return unit.module.lower() not in ("", preprocessors.NONE)


def _is_part(request: Common) -> bool:
    return isinstance(request, Img2Img) and request.mask is not None and request.inpaint_full_res


def _resize_mode(request: Img2Img) -> str:
    """That of latents, which is not here, is refused elsewhere."""
    return (*RESIZE_MODES, "just_resize")[request.resize_mode]

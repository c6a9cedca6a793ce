"""Units of the extension with an IP-Adapter, as the server's `ip_adapters`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from triptych.errors import invalid
from triptych.sdk.catalog import Checkpoint
from triptych_gateway.a1111 import checkpoints
from triptych_gateway.a1111.controlnet.unit import Unit

# The first looks for the image encoder by itself, as all of them do here: an IP-Adapter brings its own.
MODULES = (
    "ip-adapter-auto",
    "ip-adapter_clip_h",
    "ip-adapter_clip_g",
    "ip-adapter_clip_sd15",
    "ip-adapter_clip_sdxl",
    "ip-adapter_clip_sdxl_plus_vith",
)
TYPE = "IP-Adapter"
# What errors call the parts of one.
WORDS = {"name": "model", "images": "image", "images[0]": "image", "scale": "weight"}


def prompting(known: Sequence[Checkpoint]) -> list[Checkpoint]:
    """The IP-Adapters among the server's checkpoints."""
    return [each for each in known if each.purpose == "prompting"]


def is_module(name: str) -> bool:
    """Whether it is one of theirs, in any case."""
    return name.strip().lower() in MODULES


def is_image_prompt(unit: Unit, known: Sequence[Checkpoint]) -> bool:
    """By its module or by its model."""
    return is_module(unit.module) or checkpoints.is_known(prompting(known), unit.model)


def check_image_prompt(name: str, unit: Unit, has_hires: bool) -> None:
    """InvalidArgumentError about what a unit with an IP-Adapter asks for that is not here."""
    if not is_module(unit.module):
        raise invalid(f"{name}.module", f"{unit.module!r} does not go with an IP-Adapter; send {MODULES[0]}")
    for part, whole in (("guidance_start", 0.0), ("guidance_end", 1.0)):
        if getattr(unit, part) != whole:
            raise invalid(f"{name}.{part}", f"must be {whole}: an IP-Adapter counts in every step here")
    if has_hires and unit.hr_option != "both":
        raise invalid(f"{name}.hr_option", "must be Both: an IP-Adapter counts in both passes here")


def image_prompt(adapter: str, unit: Unit, image: Any) -> dict[str, Any]:
    """An entry of `ip_adapters`."""
    return {"name": adapter, "image": image, "scale": unit.weight}

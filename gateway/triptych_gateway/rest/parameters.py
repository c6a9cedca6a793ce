"""The body of a generation: `prompt` and the SDK's parameters, images as text."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from triptych.sdk.controls import Control
from triptych.sdk.parameters import GenerateParameters
from triptych.sdk.parts.enlarging import Hires, Upscale
from triptych.sdk.parts.ip_adapters import IpAdapter
from triptych_gateway.described import Body, described

_IMAGE = "base64, a data URI, `upload:ID` or `picture:ID`"


# Of lists in a request the fields of each entry that are images, and whether such a one may be several.
NESTED_IMAGES = {"controls": {"image": False, "mask_image": False}, "ip_adapters": {"image": True}}

ControlBody: Any = described("ControlBody", Control, Body, dict.fromkeys(NESTED_IMAGES["controls"], str | None))
IpAdapterBody: Any = described("IpAdapterBody", IpAdapter, Body, {"image": str | list[str] | None})
HiresBody: Any = described("HiresBody", Hires, Body)
UpscaleBody: Any = described("UpscaleBody", Upscale, Body)


class _Prompted(Body):
    prompt: str = Field(description="What the picture shows; empty where images are enlarged and nothing is drawn.")
    base64: bool = Field(False, description="Has a JSON answer hold the pictures' files, too.")


Lora = str | tuple[str, float] | tuple[str, float, float]

# What JSON has otherwise than Python.
AS_JSON: dict[str, Any] = {
    "image": str | list[str] | None,
    "mask_image": str | list[str] | None,
    "hires": HiresBody | None,
    "upscale": UpscaleBody | None,
    "loras": list[Lora] | None,
    "controls": list[ControlBody] | None,
    "ip_adapters": list[IpAdapterBody] | None,
}

GenerateBody: Any = described("GenerateBody", GenerateParameters, _Prompted, AS_JSON, without=("request_id",))
GenerateBody.__doc__ = f"What to draw; what is left out has the server's default. Images are {_IMAGE}."


def parameters_of(body: Any) -> dict[str, Any]:
    """For the SDK: what was given, images still being text."""
    given: dict[str, Any] = body.model_dump(exclude_none=True, exclude={"prompt", "base64"})
    return given

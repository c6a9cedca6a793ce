"""The body of a generation: `prompt` and the SDK's parameters, images as text."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from triptych.sdk.parameters import GenerateParameters
from triptych_gateway.described import Body, described

_IMAGE = "base64, a data URI, `upload:ID` or `picture:ID`"


class HiresBody(Body):
    """Enlarges the finished pictures, and draws them again at that size."""

    scale: float | None = None
    """How many times as large each way; default 2."""
    upscaler: str | None = None
    """A name of the server's `latent_upscalers` or `upscalers`; default `latent`."""
    strength: float | None = None
    """How much is drawn anew, from 0 to 1; default 0.7."""
    num_inference_steps: int | None = None
    """Of which the last `strength` are done; default: the request's."""
    width: int | None = None
    """Pixels, in the place of `scale`."""
    height: int | None = None
    """Pixels, in the place of `scale`."""


class UpscaleBody(Body):
    """Enlarges the pictures at last, without drawing them again."""

    scale: float | None = None
    """How many times as large each way; default 2."""
    upscaler: str | None = None
    """A name of the server's `upscalers`; default `lanczos`."""
    width: int | None = None
    """Pixels, in the place of `scale`."""
    height: int | None = None
    """Pixels, in the place of `scale`."""


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
}

# What HTTP has no way to say yet.
UNSAID = ("controls", "guess_mode")

GenerateBody: Any = described("GenerateBody", GenerateParameters, _Prompted, AS_JSON, without=("request_id", *UNSAID))
GenerateBody.__doc__ = f"What to draw; what is left out has the server's default. Images are {_IMAGE}."


def parameters_of(body: Any) -> dict[str, Any]:
    """For the SDK: what was given, images still being text."""
    given: dict[str, Any] = body.model_dump(exclude_none=True, exclude={"prompt", "base64"})
    return given

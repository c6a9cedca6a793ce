"""What prepares pictures for ControlNets, decoded from `triptych.v1`, and what it makes of one.

client.preprocess("canny", "photo.png", threshold_a=50).image.save("edges.png")
"""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from PIL import Image

from triptych.sdk.fields import filled
from triptych.sdk.images import ImageInput, image_files
from triptych.sdk.plain import plain
from triptych.v1.generation_pb2 import PreprocessRequest

_PARAMETERS = ("processor_res", "threshold_a", "threshold_b")


@dataclass(frozen=True)
class PreprocessorParameter:
    """A number from `minimum` to `maximum`."""

    label: str
    """What it says: "Low Threshold"."""
    minimum: float
    """The least."""
    maximum: float
    """The most."""
    default_value: float
    """Where it is left out."""
    step: float
    """Of a slider."""


@dataclass(frozen=True)
class Preprocessor:
    """What a picture can be prepared with for a ControlNet; names and numbers are those of A1111's extension."""

    name: str
    """By which requests call it."""
    aliases: list[str] = field(default_factory=list)
    """Other names that it answers to: the extension's in its API, and those of its menu."""
    control_types: list[str] = field(default_factory=list)
    """The extension's, of the ControlNets that it is for: "Canny"."""
    processor_res: PreprocessorParameter | None = None
    """Pixels of the shorter side that it works at; None: it works at the picture's own size."""
    threshold_a: PreprocessorParameter | None = None
    """None: it takes none."""
    threshold_b: PreprocessorParameter | None = None
    """Likewise."""
    needs_mask: bool = False
    """Whether it is told what of the picture is to be drawn anew."""
    missing: str = ""
    """What an operator has to do before it can work, for want of weights say; empty: it is ready."""
    checkpoint: str = ""
    """That its weights are registered as, where it has some and is ready; the first of several."""
    checkpoints: list[str] = field(default_factory=list)
    """As which its weights are registered, or are to be, where it has some."""


@dataclass(frozen=True)
class Preprocessed:
    """A picture as a ControlNet would look at it."""

    image: Image.Image = field(repr=False)
    """RGB; where a mask hides it, transparent."""
    png: bytes = field(repr=False)
    """Its file."""
    warnings: list[str] = field(default_factory=list)
    """Worth knowing, not fatal."""


def preprocess_request(
    preprocessor: str, image: ImageInput, mask_image: ImageInput | None, fields: dict[str, Any]
) -> PreprocessRequest:
    """What is None is left out; files are read now, and InvalidArgumentError says which cannot be."""
    given = {name: value for name, value in fields.items() if value is not None}
    request: PreprocessRequest = filled(PreprocessRequest(), preprocessor=preprocessor, **given)
    (request.image,) = image_files([image])
    if mask_image is not None:
        (request.mask_image,) = image_files([mask_image], "mask_image")
    return request


def decode_preprocessor(message: Any) -> Preprocessor:
    """From a triptych.v1.Preprocessor."""
    parameters = {
        name: plain(PreprocessorParameter, getattr(message, name)) if message.HasField(name) else None
        for name in _PARAMETERS
    }
    return plain(Preprocessor, message, **parameters)


def decode_preprocessed(message: Any) -> Preprocessed:
    """From a triptych.v1.PreprocessResponse."""
    image = Image.open(BytesIO(message.png), formats=("PNG",))
    image.load()
    return Preprocessed(image, message.png, list(message.warnings))

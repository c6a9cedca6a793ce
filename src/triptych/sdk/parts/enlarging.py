"""What a request says of enlarging: a second pass over larger pictures, or upscaling alone.

client.generate("a red circle", hires=Hires(scale=2.0, upscaler="latent_bicubic"))
client.generate("a red circle", hires={"width": 1024, "height": 1024}, upscale=Upscale(scale=1.5))
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from triptych.errors import InvalidArgumentError, invalid
from triptych.sdk.fields import set_field


@dataclass(frozen=True)
class Hires:
    """Pictures are enlarged once they are finished, and drawn again at that size; None: the server's default.

    scale: how many times as large each way; default 2.
    upscaler: a name from `server_info().latent_upscalers`, or from `upscalers`, for which pictures are decoded,
        enlarged and encoded again; default "latent".
    strength: how much is drawn anew, from 0 to 1, as image-to-image's; default 0.7.
    num_inference_steps: of which the last `strength` are done; default: the request's.
    width, height: pixels, in the place of `scale`; one of them follows from the other. Both, of another ratio: the
        middle of pictures that are enlarged until they cover that, as A1111 has it.
    """

    scale: float | None = None
    upscaler: str | None = None
    strength: float | None = None
    num_inference_steps: int | None = None
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True)
class Upscale:
    """Pictures are enlarged at last, and not drawn again; None: the server's default.

    scale: how many times as large each way; default 2.
    upscaler: a name from `server_info().upscalers`; default "lanczos".
    width, height: pixels, in the place of `scale`; one of them follows from the other.
    """

    scale: float | None = None
    upscaler: str | None = None
    width: int | None = None
    height: int | None = None


def set_upscale(request: Any, upscale: Upscale | Mapping[str, Any]) -> None:
    """As `set_hires`, of "upscale"."""
    _fill(request.upscale, "upscale", Upscale, upscale)


def set_hires(request: Any, hires: Hires | Mapping[str, Any]) -> None:
    """InvalidArgumentError about "hires", or about a field of it, that does not fit."""
    _fill(request.hires, "hires", Hires, hires)


def _fill(message: Any, name: str, kind: type, value: Any) -> None:
    try:
        given: Any = value if isinstance(value, kind) else kind(**value)
    except TypeError as error:
        fields = ", ".join(field.name for field in message.DESCRIPTOR.fields)
        raise invalid(name, f"must be a {kind.__name__}, or a mapping of {fields}, not {value!r}") from error
    message.SetInParent()
    for field, each in vars(given).items():
        if each is None:
            continue
        try:
            set_field(message, field, each)
        except InvalidArgumentError as error:
            raise InvalidArgumentError(f"{name}.{error.message}", field=f"{name}.{field}") from error

"""Pictures made larger and not drawn again, as the last of what a request asks for, or as all of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from triptych.errors import invalid
from triptych_orchestrator.jobs.extents import Size
from triptych_orchestrator.jobs.tasks.enlarging import Enlargement
from triptych_orchestrator.settings import Limits

_DEFAULT_UPSCALER = "lanczos"
# That every format of files can hold: WebP's limit.
_MOST_EXTENT = 16383


@dataclass(frozen=True)
class AskedUpscale:
    """As it was asked for; what is open is None or empty."""

    to: Enlargement = field(default_factory=Enlargement)
    upscaler: str = ""

    @property
    def upscaler_name(self) -> str:
        """Of pictures."""
        return self.upscaler or _DEFAULT_UPSCALER


@dataclass(frozen=True)
class Upscale:
    """A size in pixels, and by what; `scale` is None where the size was given."""

    width: int
    height: int
    scale: float | None
    upscaler: str

    @property
    def infotext(self) -> dict[str, object]:
        """Under A1111's names."""
        by = f"{self.scale:g}" if self.scale else f"{self.width}x{self.height}"
        return {"Postprocess upscale by": by, "Postprocess upscaler": self.upscaler}


def upscale_of(asked: AskedUpscale, before: Size, limits: Limits) -> Upscale:
    """What is asked for of a picture that is that large before."""
    width, height = asked.to.size("upscale", before)
    name = asked.to.fields("upscale")[0]
    if max(width, height) > _MOST_EXTENT:
        raise invalid(name, f"{width} x {height} is more than the {_MOST_EXTENT} pixels that files hold each way")
    if width * height > limits.max_upscaled_pixels:
        most = f"the {limits.max_upscaled_pixels} pixels that this server enlarges pictures to"
        raise invalid(name, f"{width} x {height} is more than {most}")
    return Upscale(width, height, asked.to.times, asked.upscaler_name)

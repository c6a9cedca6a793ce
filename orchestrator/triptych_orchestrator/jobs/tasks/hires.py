"""A second pass over a larger picture, in one request: what A1111 calls hires fix."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from triptych.checkpoint import Checkpoint
from triptych.errors import InvalidArgumentError, invalid
from triptych_orchestrator.jobs.extents import Size, check_size
from triptych_orchestrator.jobs.tasks.enlarging import Enlargement
from triptych_orchestrator.library.upscalers import Upscalers
from triptych_orchestrator.sampling.interpolation import LATENT_UPSCALERS
from triptych_orchestrator.settings import Limits

_DEFAULT_UPSCALER = "latent"
_DEFAULT_STRENGTH = 0.7


@dataclass(frozen=True)
class AskedHires:
    """As it was asked for; what is open is None or empty."""

    to: Enlargement = field(default_factory=Enlargement)
    upscaler: str = ""
    strength: float | None = None
    num_inference_steps: int | None = None

    @property
    def upscaler_name(self) -> str:
        """Of latents, or of pictures."""
        return self.upscaler or _DEFAULT_UPSCALER


@dataclass(frozen=True)
class Hires:
    """The last `strength` of `num_inference_steps`, at a size in pixels; `scale` is None where the size was given.

    `covering` is the size of what that one is the middle of, where it is of another ratio.
    """

    width: int
    height: int
    scale: float | None
    upscaler: str
    strength: float
    num_inference_steps: int
    covering: Size | None = None

    @property
    def infotext(self) -> dict[str, object]:
        """Under A1111's names."""
        size = {"Hires upscale": f"{self.scale:g}"} if self.scale else {"Hires resize": f"{self.width}x{self.height}"}
        return {**size, "Hires steps": self.num_inference_steps, "Hires upscaler": self.upscaler}


def check_upscaler(asked: AskedHires | None, upscalers: Upscalers) -> None:
    """InvalidArgumentError where neither latents nor pictures are enlarged by what is named."""
    if asked and (name := asked.upscaler_name) not in (names := [*LATENT_UPSCALERS, *upscalers.names()]):
        raise invalid("hires.upscaler", f"{name!r} is no upscaler; there are {', '.join(names)}")


def hires_of(asked: AskedHires, before: Size, steps: int, checkpoint: Checkpoint, limits: Limits) -> Hires:
    """What is asked for, where pictures are that large before and take so many steps."""
    width, height = asked.to.size("hires", before, checkpoint.vae_scale_factor)
    remedy = f", which {before[0]} x {before[1]} would come to"
    check_size((width, height), asked.to.fields("hires"), checkpoint.vae_scale_factor, limits, remedy)
    steps = steps if asked.num_inference_steps is None else asked.num_inference_steps
    if not 1 <= steps <= limits.max_num_inference_steps:
        problem = f"must be from 1 to {limits.max_num_inference_steps}, not {steps}"
        raise invalid("hires.num_inference_steps", problem)
    covering = asked.to.covering(before, (width, height))
    if covering and covering[0] * covering[1] > limits.max_upscaled_pixels:
        problem = f"{width} x {height} is the middle of {covering[0]} x {covering[1]}, more than the"
        raise invalid("hires.width", f"{problem} {limits.max_upscaled_pixels} pixels that this server enlarges to")
    return Hires(width, height, asked.to.times, asked.upscaler_name, _strength(asked.strength, steps), steps, covering)


@contextmanager
def of_hires() -> Iterator[None]:
    """Within it, what is wrong with a number of steps is wrong with this pass's."""
    try:
        yield
    except InvalidArgumentError as error:
        if error.metadata.get("field") == "num_inference_steps":
            raise InvalidArgumentError(f"hires.{error.message}", field="hires.num_inference_steps") from error
        raise


def _strength(asked: float | None, steps: int) -> float:
    strength = _DEFAULT_STRENGTH if asked is None else asked
    if not (math.isfinite(strength) and 0 <= strength <= 1):
        raise invalid("hires.strength", f"must be a number from 0 to 1, not {strength}")
    if int(steps * strength) < 1:
        problem = f"{strength:g} of num_inference_steps {steps} is less than one step; raise one of the two"
        raise invalid("hires.strength", problem)
    return strength

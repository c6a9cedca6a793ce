"""Noise that is nearly another seed's, or that of another size: A1111's variations and seed resize."""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass

from triptych.errors import invalid
from triptych_orchestrator.jobs.extents import check_size
from triptych_orchestrator.sampling.variations import Variation
from triptych_orchestrator.settings import Limits

# Height and width in pixels, as the API has them.
_Pair = tuple[int, int]


@dataclass(frozen=True)
class AskedVariation:
    """As it was asked for; None where nothing was said."""

    subseeds: tuple[int, ...] = ()
    strength: float | None = None
    resize_from: _Pair | None = None

    @property
    def field(self) -> str:
        """The first of the request's that was given."""
        if self.subseeds:
            return "subseeds"
        return "seed_resize_from" if self.strength is None else "subseed_strength"


@dataclass(frozen=True)
class Varied:
    """`subseeds` count as seeds do; `resize_from` is height and width in pixels."""

    subseeds: tuple[int, ...]
    strength: float
    resize_from: _Pair | None

    def in_latents(self, scale: int) -> Variation:
        """For latents that are so many times smaller than pixels."""
        size = self.resize_from
        return Variation(self.subseeds, self.strength, size and (size[0] // scale, size[1] // scale))

    def infotext(self, index: int) -> dict[str, object]:
        """Of one picture, under A1111's names."""
        told: dict[str, object] = {}
        if self.strength:
            told["Variation seed"] = self.subseeds[index if len(self.subseeds) > 1 else 0]
            told["Variation seed strength"] = f"{self.strength:g}"
        if self.resize_from:
            told["Seed resize from"] = f"{self.resize_from[1]}x{self.resize_from[0]}"
        return told


def variation_of(
    asked: AskedVariation, seeds: tuple[int, ...], images: int, scale: int, limits: Limits
) -> Varied | None:
    """What is asked for of that many pictures; None where their noise is the seeds' own."""
    if asked.subseeds and asked.strength is None:
        raise invalid("subseeds", "say whose noise is blended in by subseed_strength; give that too, or leave them out")
    strength = _strength(asked.strength)
    if len(asked.subseeds) not in (0, 1, images):
        problem = f"must be none, one, or one for each of the {images} images, not {len(asked.subseeds)}"
        raise invalid("subseeds", problem)
    if asked.resize_from:
        height, width = asked.resize_from
        check_size((width, height), ("seed_resize_from", "seed_resize_from"), scale, limits)
    if not strength and not asked.resize_from:
        return None
    return Varied(_subseeds(asked.subseeds, seeds) if strength else (), strength, asked.resize_from)


def _subseeds(given: tuple[int, ...], seeds: tuple[int, ...]) -> tuple[int, ...]:
    """As many as there are to be; one beside several seeds is each picture's own, as it would be alone."""
    if not given:
        return random_seeds(len(seeds))
    return given * len(seeds) if len(given) == 1 else given


def _strength(asked: float | None) -> float:
    strength = asked or 0.0
    if not (math.isfinite(strength) and 0 <= strength <= 1):
        raise invalid("subseed_strength", f"must be a number from 0 to 1, not {strength}")
    return strength


def random_seeds(count: int) -> tuple[int, ...]:
    """As many, one after the other."""
    first = secrets.randbits(32)
    return tuple((first + index) % 2**32 for index in range(count))

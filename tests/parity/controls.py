"""How pictures are controlled that are compared with diffusers', and what stands beside each family's UNet for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Values = Mapping[str, Any]

# How a picture is controlled, by diffusers' names: the first ControlNet of a family, and the second.
CONTROLS: Mapping[str, Sequence[Values]] = {
    "one": ({},),
    "half": ({"conditioning_scale": 0.6, "guidance_end": 0.5},),
    "two": ({"conditioning_scale": 0.8, "guidance_start": 0.3}, {"conditioning_scale": 1.2, "guidance_end": 0.7}),
}
# Of a union. Some picture counts in every step: where none does diffusers, unlike us, goes on with the types alone.
UNIONS: Mapping[str, Sequence[Values]] = {
    "union": ({"union_type": "canny", "conditioning_scale": 0.7, "guidance_end": 0.6},),
    "union of two": (
        {"union_type": "depth", "conditioning_scale": 0.8, "guidance_end": 0.7},
        {"union_type": "tile", "conditioning_scale": 1.2, "guidance_start": 0.3},
    ),
}
# Of an inpaint ControlNet, which looks at what the request draws on.
HOLES: Mapping[str, Sequence[Values]] = {"hole": ({"preprocessor": "inpaint"},)}
# By T2I-Adapters, whose windows have an end alone, and with Stable Diffusion XL alone.
ADAPTERS: Mapping[str, Sequence[Values]] = {
    "adapter": ({},),
    "half an adapter": ({"conditioning_scale": 0.6, "guidance_end": 0.6},),
    "two adapters": ({"conditioning_scale": 0.8}, {"conditioning_scale": 1.2}),
}


def controlnets(family: str) -> tuple[str, ...]:
    """The names of those that there are for it."""
    return tuple(f"{family}-net-{number}" for number in range(2))


def adapters(family: str) -> tuple[str, ...]:
    """The names of the T2I-Adapters that there are for it."""
    return tuple(f"{family}-adapter-{number}" for number in range(2))


def union(family: str) -> str:
    """The name of a union ControlNet for it."""
    return f"{family}-union"

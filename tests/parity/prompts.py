"""What pictures with IP-Adapters look at that are compared with diffusers'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.e2e.ip_adapters.making import KINDS

# Kinds of adapters, each with the number of its pictures and its scale.
PROMPTS: Mapping[str, Sequence[tuple[str, int, float]]] = {
    "plain": (("plain", 1, 0.6),),
    "plus with two": (("plus", 2, 0.9),),
    "full face": (("full", 1, 1.0),),
    "two adapters": (("plain", 2, 0.5), ("plus", 1, 0.8)),
}


def ip_adapters(family: str) -> dict[str, str]:
    """The kinds by the names of those that there are for it."""
    return {f"{family}-ip-{kind}": kind for kind in KINDS}


def looked_at(family: str, prompts: str, pictures: Sequence[Any]) -> list[dict[str, Any]]:
    """A request's, by our clients' names; each takes the next of the pictures."""
    rest = iter(pictures)
    return [
        {"name": f"{family}-ip-{kind}", "image": [next(rest) for _ in range(count)], "scale": scale}
        for kind, count, scale in PROMPTS[prompts]
    ]

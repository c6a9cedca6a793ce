"""A1111's names for the schedulers: a sampler and a type of schedule, as its web UI has them since version 1.9."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple


class Sampler(NamedTuple):
    """As infotexts have them; "" for the sampler's own schedule."""

    name: str
    schedule: str = ""


BY_SCHEDULER: Mapping[str, Sampler] = {
    "ddim": Sampler("DDIM"),
    "euler": Sampler("Euler"),
    "euler_ancestral": Sampler("Euler a"),
    # Whose own schedule there is Karras'.
    "dpmpp_2m": Sampler("DPM++ 2M", "Uniform"),
    "dpmpp_2m_karras": Sampler("DPM++ 2M", "Karras"),
    "pndm": Sampler("PLMS"),
}

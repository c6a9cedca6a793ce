"""A1111's samplers and types of schedule beside the server's schedulers.

scheduler_of("DPM++ 2M Karras", "", server.schedulers)   # "dpmpp_2m_karras"
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from triptych.contract.pictures.samplers import BY_SCHEDULER
from triptych.errors import NotFoundError, invalid

_UNIFORM, _KARRAS, _EXPONENTIAL = "Uniform", "Karras", "Exponential"


class Schedule(NamedTuple):
    """A type of schedule as the web UI lists it."""

    name: str
    label: str
    default_rho: float = -1.0
    need_inner_model: bool = False


AUTOMATIC = Schedule("automatic", "Automatic")
# "Normal" has the same steps as "Uniform": evenly spaced over those that the UNet was trained with.
SCHEDULES = (
    AUTOMATIC,
    Schedule("uniform", _UNIFORM, need_inner_model=True),
    Schedule("karras", _KARRAS, 7.0),
    Schedule("exponential", _EXPONENTIAL),
    Schedule("normal", "Normal", need_inner_model=True),
)
# Those that other tools call otherwise, before the web UI's own label.
_ALIASES: Mapping[str, tuple[str, ...]] = {
    "Euler": ("k_euler",),
    "Euler a": ("k_euler_a", "k_euler_ancestral"),
    "DPM++ 2M": ("k_dpmpp_2m",),
    "DDIM": ("ddim",),
    "PLMS": ("plms",),
}
# What "Automatic" means, where it is not uniform.
_OWN: Mapping[str, str] = {
    **dict.fromkeys(("DPM++ 2M", "DPM++ SDE", "DPM++ 2S a", "DPM2", "DPM2 a"), _KARRAS),
    **dict.fromkeys(("DPM++ 2M SDE", "DPM++ 2M SDE Heun", "DPM++ 3M SDE"), _EXPONENTIAL),
}
# Which know no types of schedule.
_WITHOUT_SCHEDULES = ("DDIM", "PLMS")


def scheduler_of(sampler: str, schedule: str, available: Collection[str]) -> str:
    """The server's scheduler for a sampler's name, in which a schedule may be named too, and a schedule's."""
    if sampler in available and _named(schedule) == AUTOMATIC:
        return sampler
    label, wanted = _split(sampler, _named(schedule), available)
    offered = _offered(available).get(label)
    if offered is None:
        names = ", ".join(_offered(available))
        raise NotFoundError(f"sampler_name: {sampler!r} is not a sampler here; there are {names}", field="sampler_name")
    if label in _WITHOUT_SCHEDULES:
        return next(iter(offered.values()))
    kind = {"Normal": _UNIFORM, "Automatic": _OWN.get(label, _UNIFORM)}.get(wanted.label, wanted.label)
    if kind not in offered:
        meant = f"{wanted.label}, which for {label} is {kind}," if kind != wanted.label else kind
        raise invalid("scheduler", f"{meant} does not go with {label} here; there are {', '.join(offered)}")
    return offered[kind]


def samplers(available: Collection[str]) -> list[dict[str, Any]]:
    """As the web UI lists them."""
    offered = _offered(available)
    return [{"name": label, "aliases": [*_ALIASES.get(label, ())], "options": _options(label)} for label in offered]


def schedules(available: Collection[str]) -> list[dict[str, Any]]:
    """Likewise, those that go with any sampler here."""
    kinds = {kind for offered in _offered(available).values() for kind in offered} | {"Automatic", "Normal"}
    return [{**schedule._asdict(), "aliases": None} for schedule in SCHEDULES if schedule.label in kinds]


def label_of(scheduler: str) -> str:
    """The sampler's label of one of the server's schedulers."""
    return BY_SCHEDULER[scheduler].name if scheduler in BY_SCHEDULER else scheduler


def _options(label: str) -> dict[str, str]:
    return {"scheduler": _OWN[label].lower()} if label in _OWN else {}


def _offered(available: Collection[str]) -> dict[str, dict[str, str]]:
    """The server's schedulers by label and type of schedule."""
    offered: dict[str, dict[str, str]] = {}
    for name, sampler in BY_SCHEDULER.items():
        if name in available:
            offered.setdefault(sampler.name, {})[sampler.schedule or _UNIFORM] = name
    return offered


def _split(sampler: str, schedule: Schedule, available: Collection[str]) -> tuple[str, Schedule]:
    """A sampler's label, and the schedule that its name has at its end, or else the one given."""
    by_name = dict(_names(_offered(available)))
    lower = sampler.lower()
    if lower in by_name:
        return by_name[lower], schedule
    for each in SCHEDULES:
        base = lower.removesuffix(f" {each.label.lower()}")
        if base != lower and base in by_name:
            return by_name[base], each
    return sampler, schedule


def _names(labels: Iterable[str]) -> Iterator[tuple[str, str]]:
    for label in labels:
        yield label.lower(), label
        yield from ((alias, label) for alias in _ALIASES.get(label, ()))


def _named(schedule: str) -> Schedule:
    """By its name or its label; none is automatic."""
    wanted = schedule.lower()
    if wanted in ("", "none"):
        return AUTOMATIC
    for each in SCHEDULES:
        if wanted in (each.name, each.label.lower()):
            return each
    raise invalid("scheduler", f"{schedule!r} is not one here; there are {', '.join(each.label for each in SCHEDULES)}")

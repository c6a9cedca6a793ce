"""Durations and sizes as people write and read them: `30d`, `20GB`, `1.2 MB`."""

from __future__ import annotations

import re

from triptych.errors import invalid

_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_BYTES = {
    **{"b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12},
    **{"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40},
}
_DURATION = re.compile(r"([0-9]{1,9})([smhdw])", re.ASCII)
_SIZE = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,6})?) ?([kmgt]?i?b)", re.ASCII | re.IGNORECASE)


def parse_duration(option: str, text: str) -> int:
    """Seconds, more than none; InvalidArgumentError names the option."""
    match = _DURATION.fullmatch(text)
    if match is None or int(match[1]) == 0:
        raise invalid(option, f"{text!r} is no duration: give a whole number above 0 and s, m, h, d or w, as in 30d")
    return int(match[1]) * _SECONDS[match[2]]


def parse_size(option: str, text: str) -> int:
    """Bytes, more than none; GB are powers of 1000, GiB of 1024. InvalidArgumentError names the option."""
    match = _SIZE.fullmatch(text)
    unit = _BYTES.get(match[2].lower()) if match else None
    size_bytes = int(float(match[1]) * unit) if match and unit else 0
    if size_bytes == 0:
        raise invalid(option, f"{text!r} is no size: give a number above 0 and B, kB, MB, GB, TB or GiB, as in 20GB")
    return size_bytes


def readable_size(size_bytes: int) -> str:
    """Three digits at most before the point, in powers of 1000."""
    if size_bytes < 1000:
        return f"{size_bytes} B"
    size = float(size_bytes)
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.95:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} TB"


def readable_age(seconds: float) -> str:
    """Whole minutes, hours or days, rounded down."""
    for unit in ("d", "h", "m"):
        if seconds >= _SECONDS[unit]:
            return f"{int(seconds // _SECONDS[unit])} {unit}"
    return f"{max(0, int(seconds))} s"

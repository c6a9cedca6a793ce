"""Where a storage's bytes lie in a file."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Place:
    """`size_bytes` of numbers from byte `offset` of the file; deflated, where they take `deflated_bytes` there."""

    offset: int
    size_bytes: int
    deflated_bytes: int | None = None
    big_endian: bool = False

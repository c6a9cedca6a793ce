"""Python's collector of garbage, for a process that keeps what it reads."""

from __future__ import annotations

import gc

# Python's own is 700, and with it the oldest generation is walked whole each time that it has grown by a quarter.
_ALLOCATIONS = 10_000


def collect_seldom() -> None:
    """Makes it look for cycles less often: each checkpoint keeps thousands of objects, and none of them is in one.

    Of 100 registrations of SDXL's size a third was spent in the collector.
    """
    gc.set_threshold(_ALLOCATIONS, *gc.get_threshold()[1:])

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest

from tests.fast_clock import FastClockLoop


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """What the marker `fast_clock` does."""
    if item.get_closest_marker("fast_clock"):
        return {"fast_clock": FastClockLoop}
    return {"asyncio": asyncio.new_event_loop}

"""A client of the gateway that stands before the session's stack."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.conftest import Served


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    """Its paths are the gateway's."""
    with httpx.Client(base_url=served.stack.gateway_url, timeout=120, trust_env=False) as client:
        yield client

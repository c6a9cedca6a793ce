"""A client of the gateway that stands before the session's stack, and a ControlNet and an IP-Adapter there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests import tiny
from tests.conftest import CACHE, Served
from tests.e2e.ip_adapters.making import save_ip_adapter
from tests.session.graphs import fill_cache


@pytest.fixture
def http(served: Served) -> Iterator[httpx.Client]:
    """Its paths are the gateway's."""
    with httpx.Client(base_url=served.stack.gateway_url, timeout=120, trust_env=False) as client:
        yield client


@pytest.fixture(scope="package")
def outlines(served: Served, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of one for SD 1.x."""
    path = tiny.save_controlnet(tmp_path_factory.mktemp("controlnets") / "outlines", checkpoints["sd1"])
    fill_cache(CACHE, [path])
    served.client.register_controlnet("outlines", path)
    yield "outlines"
    served.client.unregister_checkpoint("outlines")


@pytest.fixture(scope="package")
def likeness(served: Served, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of one for SD 1.x."""
    path = save_ip_adapter(tmp_path_factory.mktemp("likeness"), checkpoints["sd1"])
    fill_cache(CACHE, [path])
    served.client.register_ip_adapter("likeness", path)
    yield "likeness"
    served.client.unregister_checkpoint("likeness")

"""The `openai` client, unchanged, of the session's gateway."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import openai
import pytest

from tests.conftest import Served


@pytest.fixture
def client(served: Served) -> Iterator[openai.OpenAI]:
    """As anybody would make it, but for the environment's proxies."""
    with openai.OpenAI(
        base_url=f"{served.stack.gateway_url}/v1",
        api_key="none is asked for here",
        max_retries=0,
        http_client=httpx.Client(trust_env=False, timeout=120),
    ) as client:
        yield client

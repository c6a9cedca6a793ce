"""Hypothesis as our tests use it: the same examples each time, few by default and many among the slow tests.

test_it, test_it_at_length = fuzzed(st.binary())(check)
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import SearchStrategy

# Of the slow tests, how many times as many.
LONGER = 10
SETTINGS: dict[str, Any] = {
    "derandomize": True,
    "database": None,
    "deadline": None,  # the machine is shared: a test has its timeout, and what is bounded is asserted
    "suppress_health_check": [HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
}

Test = Callable[..., None]


def fuzzed(
    examples: int, *drawn: SearchStrategy[Any], **named: SearchStrategy[Any]
) -> Callable[[Test], tuple[Test, Test]]:
    """A short test and a slow one of a check."""

    def tests(check: Test) -> tuple[Test, Test]:
        def one(count: int) -> Test:
            @functools.wraps(check)
            def copy(*arguments: Any, **more: Any) -> None:
                check(*arguments, **more)

            return settings(max_examples=count, **SETTINGS)(given(*drawn, **named)(copy))

        return one(examples), pytest.mark.slow(one(examples * LONGER))

    return tests

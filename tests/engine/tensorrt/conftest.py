"""TensorRT for RTX in TensorRT's place: its builder is of the same family, works on a CPU, and is on the package index.

Where it is not installed its tests are skipped by name. TRIPTYCH_REQUIRE_RTX=1 makes such a skip a failure.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Generator, Iterator
from typing import Any

import pytest

from triptych.engine.tensorrt import api
from triptych.engine.tensorrt.build import builder, monitor

REQUIRE = "TRIPTYCH_REQUIRE_RTX"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and item.get_closest_marker("rtx") and os.environ.get(REQUIRE) == "1":
        report.outcome = "failed"
        report.longrepr = f"{REQUIRE}=1, but this test was skipped: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def rtx_package() -> Iterator[Any]:
    try:
        package = importlib.import_module("tensorrt_rtx_bindings")
    except (ImportError, OSError) as error:
        pytest.skip(f"TensorRT for RTX is not here ({error}): pip install triptych[rtx-check]")
    with pytest.MonkeyPatch.context() as patch:
        # TensorRT keeps the first logger of a process, so it lives as long as the tests do.
        patch.setattr(api, "tensorrt", lambda: package)
        package.tests_logger = api.trt_logger.__wrapped__()
    yield package


@pytest.fixture
def rtx(rtx_package: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    for module in (api, builder, monitor):
        monkeypatch.setattr(module, "tensorrt", lambda: rtx_package)
    monkeypatch.setattr(builder, "trt_logger", lambda: rtx_package.tests_logger)
    return rtx_package

"""What these tests share: a stand-in for TensorRT, which computes, and TensorRT for RTX, which builds.

TensorRT for RTX is in TensorRT's place: its builder is of the same family, works on a CPU, and is on the package index.

Where it is not installed its tests are skipped by name. TRIPTYCH_REQUIRE_RTX=1 makes such a skip a failure.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import CACHE
from tests.engine.tensorrt.standin import VERSIONS, stand_in
from tests.engine.tensorrt.standin.cuda import patch_torch
from tests.engine.tensorrt.workshop import Load, Workshop, opened
from triptych.checkpoint import Checkpoint
from triptych.contract import UNET
from triptych.engine import EngineSettings
from triptych.engine.tensorrt import api
from triptych.engine.tensorrt.build import builder, monitor
from triptych.engine.tensorrt.complaints import forget_errors
from triptych.engine.tensorrt.engine import TensorRtEngine
from triptych.engine.tensorrt.network.typed import TypedGraph
from triptych.engine.tensorrt.run import refitter, session, shape

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


@pytest.fixture(scope="module")
def graph(checkpoints: dict[str, Path]) -> TypedGraph:
    component = Checkpoint.open(checkpoints["sd1"]).components[UNET.name]
    return TypedGraph.of(component, EngineSettings(2, CACHE, precision="fp16"))


@pytest.fixture(params=VERSIONS)
def trt(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Any:
    trt = stand_in(request.param)
    for module in (session, refitter, shape):
        monkeypatch.setattr(module, "tensorrt", lambda: trt)
    for module in (session, refitter):
        monkeypatch.setattr(module, "trt_logger", lambda: None)
    patch_torch(monkeypatch)
    forget_errors()
    return trt


@pytest.fixture
def workshop(trt: Any, graph: TypedGraph, monkeypatch: pytest.MonkeyPatch) -> Workshop:
    return opened(graph, monkeypatch)


@pytest.fixture
def settings(tmp_path: Path) -> EngineSettings:
    (tmp_path / "graphs").symlink_to(CACHE / "graphs", target_is_directory=True)
    return EngineSettings(2, tmp_path, precision="fp16")


@pytest.fixture
def load(workshop: Workshop, settings: EngineSettings) -> Iterator[Load]:
    """Loads the engine as at a start of the stage, with the cache that is there."""
    loaded: list[TensorRtEngine] = []

    def one() -> TensorRtEngine:
        loaded.append(TensorRtEngine.load(workshop.graph.component, settings))
        return loaded[-1]

    yield one
    workshop.may_go_on.set()
    for each in loaded:
        each.close()

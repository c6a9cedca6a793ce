"""The calls to TensorRT, in their order, against a stand-in: what it is told, and what happens when it refuses."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.conftest import CACHE
from tests.engine.tensorrt.standin import VERSIONS, stand_in
from triptych.checkpoint import Checkpoint, Component
from triptych.contract import UNET
from triptych.engine import EngineSettings, load_engine
from triptych.engine.tensorrt import api
from triptych.engine.tensorrt.build import builder, monitor
from triptych.engine.tensorrt.network.profiles import Profile, Range
from triptych.engine.tensorrt.run.refitter import groups
from triptych.errors import FailedPreconditionError, InvalidArgumentError, TriptychError


def test_groups_are_of_about_one_size() -> None:
    shapes = {"a": (10,), "b": (10,), "c": (100,), "d": (1,)}
    assert list(groups(shapes, 80)) == [["a", "b"], ["c"], ["d"]]
    assert list(groups({}, 80)) == []


@pytest.fixture
def component(checkpoints: dict[str, Path]) -> Component:
    return Checkpoint.open(checkpoints["sd1"]).components[UNET.name]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_build(version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trt = stand_in(version)
    for module in (api, builder, monitor):
        monkeypatch.setattr(module, "tensorrt", lambda: trt)
    monkeypatch.setattr(builder, "trt_logger", lambda: None)
    (tmp_path / "graph.onnx").write_text("w v")
    timings = tmp_path / "timing.cache"
    profiles = [Profile({"batch": Range(1, 2, 16)})]
    for _ in range(2):
        builder.build_engine(tmp_path / "graph.onnx", {"x": ("batch", 4)}, profiles, ["w"], timings, print)
    ((network, config), _) = trt.Builder._built
    assert network._open == {"w"} and config._flags == {trt.BuilderFlag.REFIT_INDIVIDUAL}
    assert config._features == {trt.PreviewFeature.RUNTIME_ACTIVATION_RESIZE_10_10}
    assert config._profiles[0]._shapes == {"x": ((1, 4), (2, 4), (16, 4))}
    assert config.progress_monitor.step_complete("a phase that is not known", 0)
    builder.build_engine(tmp_path / "graph.onnx", {"x": ("batch", 4)}, profiles, (), timings, print, lambda: True)
    network, config = trt.Builder._built[-1]
    assert not network._open and not config._flags  # no refit asked for, and no TF32
    assert not config.progress_monitor.step_complete("which ends the build", 0)
    assert timings.read_bytes() == b"timed " * 3 and not list(tmp_path.glob("*.partial"))
    with pytest.raises(TriptychError, match=r"1 of 1 weights by no name, such as \['bias'\]"):
        builder.build_engine(tmp_path / "graph.onnx", {"x": ("batch", 4)}, profiles, ["bias"], timings, print)


def test_without_tensorrt(component: Component, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    api.tensorrt.cache_clear()
    with pytest.raises(FailedPreconditionError, match=r"pip install triptych\[server,torch,tensorrt\]"):
        load_engine("tensorrt", component, EngineSettings(2, CACHE, "cuda:0", "fp16"))


@pytest.mark.parametrize(
    ("version", "fault"),
    [
        ("8.6.1", "several profiles"),
        ("10.3.0", "several profiles"),
        ("10.10.0.31", "several profiles"),
        ("11.1.0.106", "leak into each other"),
        ("11.3.0.99", "lose the biases"),
    ],
)
def test_a_version_that_is_known_to_be_wrong(version: str, fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__=version))
    api.tensorrt.cache_clear()
    with pytest.raises(FailedPreconditionError, match=rf"TensorRT {version} is refused: .*{fault}.*Install 10\.11"):
        api.tensorrt()
    api.tensorrt.cache_clear()


@pytest.mark.parametrize("version", ["10.11.0.33", "10.13.3.9", "11.0.0.114", "11.2.1.2", "11.4.0.106"])
def test_a_cpu_is_no_place_for_it(component: Component, version: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorrt", SimpleNamespace(__version__=version))
    api.tensorrt.cache_clear()
    with pytest.raises(InvalidArgumentError, match="runs on a GPU"):
        load_engine("tensorrt", component, EngineSettings(2, CACHE, "cpu"))
    api.tensorrt.cache_clear()

"""The calls to TensorRT, in their order, against a stand-in: what it is told, and what happens when it refuses."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
import torch

from tests.conftest import CACHE
from triptych.checkpoint import Checkpoint, Component
from triptych.contract import UNET
from triptych.engine import EngineSettings, load_engine
from triptych.engine.tensorrt import api, builder, refitter
from triptych.engine.tensorrt.profiles import Profile, Range
from triptych.engine.tensorrt.refitter import WeightsRefitter, groups
from triptych.engine.weights import float32_weights
from triptych.errors import FailedPreconditionError, InvalidArgumentError, TriptychError

QUERY = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight"
KEY = QUERY.replace("to_q", "to_k")


class StandInRefitter:
    """Holds weights as float16, and wants the key's with the query's, as if it had merged them."""

    def __init__(self, component: Component) -> None:
        self.shapes = {name: info.shape for name, info in component.weights.items()}
        self.given: dict[str, Any] = {}
        self.held: dict[str, Any] = {}
        self.answer = True

    def get_all_weights(self) -> list[str]:
        return [QUERY, KEY, "conv_in.weight"]

    def get_weights_prototype(self, name: str) -> Any:
        return SimpleNamespace(dtype="half", size=int(np.prod(self.shapes[name])))

    def set_named_weights(self, name: str, weights: Any, location: str) -> bool:
        assert location == "device" and weights.dtype == "half"
        self.given[name] = np.ctypeslib.as_array(
            (np.ctypeslib.ctypes.c_uint16 * weights.size).from_address(weights.ptr)
        )
        return True

    def get_missing_weights(self) -> list[str]:
        return [KEY] if QUERY in self.given and KEY not in self.given else []

    def refit_cuda_engine_async(self, stream: int) -> bool:
        self.held |= {name: array.copy().view(np.float16) for name, array in self.given.items()}
        return self.answer

    def unset_named_weights(self, name: str) -> bool:
        return bool(self.given.pop(name, None) is not None)


@pytest.fixture
def component(checkpoints: dict[str, Path]) -> Component:
    return Checkpoint.open(checkpoints["sd1"]).components[UNET.name]


@pytest.fixture
def stand_in(component: Component, monkeypatch: pytest.MonkeyPatch) -> StandInRefitter:
    engine = StandInRefitter(component)
    trt = SimpleNamespace(
        Refitter=lambda _engine, _logger: engine,
        Weights=lambda dtype, ptr, size: SimpleNamespace(dtype=dtype, ptr=ptr, size=size),
        TensorLocation=SimpleNamespace(DEVICE="device"),
        float32="float",
        float16="half",
        bfloat16="bf16",
    )
    monkeypatch.setattr(refitter, "tensorrt", lambda: trt)
    monkeypatch.setattr(refitter, "trt_logger", lambda: None)
    monkeypatch.setattr(torch.cuda, "device", lambda _device: contextlib.nullcontext())
    monkeypatch.setattr(torch.cuda, "stream", lambda _stream: contextlib.nullcontext())
    return engine


def new_refitter(component: Component, needed: list[str] | None = None) -> tuple[WeightsRefitter, Any]:
    stream = SimpleNamespace(cuda_stream=7, synchronize=lambda: None)
    session = MagicMock(engine=None, device=torch.device("cpu"), stream=stream)
    return WeightsRefitter(session, component, needed or [QUERY]), session


def half(component: Component, name: str) -> Any:
    return next(array for _, array in float32_weights(component, [name])).astype(np.float16).ravel()


def test_merged_weights_are_given_together(component: Component, stand_in: StandInRefitter) -> None:
    weights, session = new_refitter(component)
    weights.refit({QUERY: np.ones(component.weights[QUERY].shape, np.float32)})
    assert (stand_in.held[QUERY] == 1).all() and np.array_equal(stand_in.held[KEY], half(component, KEY))
    session.forget_graphs.assert_called_once()
    weights.refit({KEY: np.full(component.weights[KEY].shape, 2, np.float32)})
    weights.refit({QUERY: None})  # the key given with it is the present one, not the checkpoint's
    assert np.array_equal(stand_in.held[QUERY], half(component, QUERY)) and (stand_in.held[KEY] == 2).all()
    weights.refit({KEY: None})
    assert np.array_equal(stand_in.held[KEY], half(component, KEY))
    assert not stand_in.given


def test_a_refused_refit_is_an_error(component: Component, stand_in: StandInRefitter) -> None:
    stand_in.answer = False
    with pytest.raises(TriptychError, match="refused a refit"):
        new_refitter(component)[0].refit({QUERY: None})


def test_weights_that_are_closed_are_named(component: Component, stand_in: StandInRefitter) -> None:
    with pytest.raises(FailedPreconditionError, match=r"keeps 1 weights closed.*conv_out"):
        new_refitter(component, [QUERY, "conv_out.weight"])


def test_groups_are_of_about_one_size() -> None:
    shapes = {"a": (10,), "b": (10,), "c": (100,), "d": (1,)}
    assert list(groups(shapes, 80)) == [["a", "b"], ["c"], ["d"]]
    assert list(groups({}, 80)) == []


def test_a_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trt = MagicMock()
    trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED = 1
    trt.BuilderFlag = SimpleNamespace(TF32="tf32", REFIT_INDIVIDUAL="individual")
    made = trt.Builder.return_value
    network, config = made.create_network.return_value, made.create_builder_config.return_value
    config.add_optimization_profile.return_value = 0
    config.get_timing_cache.return_value.serialize.return_value = b"timings"
    monkeypatch.setattr(builder, "tensorrt", lambda: trt)
    monkeypatch.setattr(api, "tensorrt", lambda: trt)
    monkeypatch.setattr(builder, "trt_logger", lambda: None)
    monkeypatch.setattr(builder, "build_monitor", lambda _progress: None)
    timings = tmp_path / "timing.cache"
    profiles = [Profile({"batch": Range(1, 2, 16)})]
    for _ in range(2):
        builder.build_engine(tmp_path / "graph.onnx", {"x": ("batch", 4)}, profiles, ["w"], timings, print)
    made.create_network.assert_called_with(2)
    config.clear_flag.assert_called_with("tf32")
    made.create_optimization_profile.return_value.set_shape.assert_called_with("x", (1, 4), (2, 4), (16, 4))
    assert [call.args[0] for call in config.create_timing_cache.call_args_list] == [b"", b"timings"]
    assert timings.read_bytes() == b"timings" and not list(tmp_path.glob("*.partial"))
    config.set_flag.assert_called_with("individual")
    network.mark_weights_refittable.assert_called_with("w")
    network.mark_weights_refittable.return_value = False
    with pytest.raises(TriptychError, match=r"1 of 1 weights by no name, such as \['w'\]"):
        builder.build_engine(tmp_path / "graph.onnx", {"x": ("batch", 4)}, profiles, ["w"], timings, print)


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

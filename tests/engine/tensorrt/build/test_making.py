"""From a component to its engine in the cache, TensorRT and the GPU replaced: what is built, noted and found again."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import CACHE
from triptych.checkpoint import Checkpoint, Component
from triptych.contract import ENCODER, UNET, VAE_DECODER
from triptych.engine import Engine, EngineSettings
from triptych.engine.build import Origin, build_artifact
from triptych.engine.cache.inventory import Kind, State, inventory
from triptych.engine.rewriting.variant import Variant
from triptych.engine.tensorrt.build import making
from triptych.engine.tensorrt.build.plan import OVERRIDE
from triptych.engine.tensorrt.run.padding import padded_batches, read_batch_seconds
from triptych.engine.torch.engine import TorchEngine
from triptych.errors import FailedPreconditionError, TriptychError


class StandIn:
    """Builds a plan of ten bytes; the session that runs it is torch's, or one that is wrong."""

    def __init__(self, component: Component) -> None:
        self.engine = TorchEngine.load(component, EngineSettings(2, CACHE))
        self.wrong = False
        self.room = 64
        self.axes = ""
        self.builds = 0

    def build(self, graph: Path, *_arguments: Any) -> Any:
        assert graph.is_file()
        self.builds += 1
        return np.frombuffer(b"serialized", np.uint8)

    def session(self, plan: Any, *_arguments: Any) -> Any:
        assert bytes(plan) == b"serialized"
        return SimpleNamespace(run_with=self.run, step_seconds=self.step_seconds)

    def step_seconds(self, inputs: Any) -> float:
        batch = len(next(iter(inputs.values())))
        if batch > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return 0.5 if batch == 3 else 0.25

    def run(self, inputs: Any, _profile: int) -> Any:
        outputs = self.engine.infer_wrapped(inputs, self.axes)
        return {name: np.zeros_like(array) for name, array in outputs.items()} if self.wrong else outputs


@pytest.fixture
def component(checkpoints: dict[str, Path]) -> Component:
    return Checkpoint.open(checkpoints["sd1"]).components[ENCODER.name]


@pytest.fixture
def settings(tmp_path: Path) -> EngineSettings:
    (CACHE / "graphs").mkdir(parents=True, exist_ok=True)
    (tmp_path / "graphs").symlink_to(CACHE / "graphs", target_is_directory=True)
    return EngineSettings(2, tmp_path, "cuda:0", "fp16")


@pytest.fixture
def stand_in(component: Component, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn(component)
    replace_all(stand_in, monkeypatch)
    return stand_in


def replace_all(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    properties = SimpleNamespace(name="NVIDIA L4", major=8, minor=9)
    monkeypatch.setenv("TRIPTYCH_TENSORRT_PLAIN", "never")
    monkeypatch.setattr(making, "tensorrt", lambda: SimpleNamespace(__version__="10.13.0"))
    monkeypatch.setattr(making, "torch_device", torch.device)
    monkeypatch.setattr(making, "build_engine", stand_in.build)
    monkeypatch.setattr(making, "Session", stand_in.session)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _device: properties)
    monkeypatch.setattr(torch.cuda, "device", lambda _device: contextlib.nullcontext())


def test_an_engine_is_built_once_and_can_be_listed(
    component: Component, settings: EngineSettings, stand_in: StandIn
) -> None:
    messages: list[str] = []
    built = build_artifact(component, "tensorrt", settings, messages.append)
    found = build_artifact(component, "tensorrt", settings, messages.append)
    assert (built.origin, found.origin) == (Origin.BUILT, Origin.CACHED) and stand_in.builds == 1
    assert messages == [
        f"building a TensorRT engine, which takes minutes ({built.key})",
        f"{built.key}: comparing it with the reference",
    ]
    assert found.path == built.path and built.path.read_bytes() == b"serialized" and built.size_bytes == 10
    (entry,) = inventory(settings.cache_dir)
    assert (entry.kind, entry.key, entry.state) == (Kind.ENGINE, built.key, State.SOUND) and not entry.foreign
    assert entry.built_for["gpu"] == "NVIDIA L4" and entry.built_for["precision"] == "fp16"
    manifest = json.loads((built.path.parent / "manifest.json").read_text())
    assert manifest["step_seconds"] == 0.25 and manifest["error"] < 0.03


def test_what_every_batch_of_a_unet_takes_is_noted(
    checkpoints: dict[str, Path], settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    component = Checkpoint.open(checkpoints["sd1"]).components[UNET.name]
    stand_in = StandIn(component)
    replace_all(stand_in, monkeypatch)
    stand_in.room = 8
    built = build_artifact(component, "tensorrt", settings)
    seconds = read_batch_seconds(json.loads((built.path.parent / "manifest.json").read_text()))
    assert seconds == {batch: 0.5 if batch == 3 else 0.25 for batch in range(1, 9)}
    assert padded_batches(seconds) == {3: 4}


def test_a_wrong_engine_is_not_kept(component: Component, settings: EngineSettings, stand_in: StandIn) -> None:
    stand_in.wrong = True
    with pytest.raises(FailedPreconditionError, match="away from the reference"):
        build_artifact(component, "tensorrt", settings)
    assert inventory(settings.cache_dir) == []


def test_a_variant_is_compared_with_the_references_own(
    checkpoints: dict[str, Path], settings: EngineSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    component = Checkpoint.open(checkpoints["sd1"]).components[VAE_DECODER.name]
    stand_in = StandIn(component)
    replace_all(stand_in, monkeypatch)
    plain = making.Making(component, settings)
    varied = plain.varied(Variant("xy"))
    assert plain.build(plain.plan).key() != varied.build(plain.plan).key() and plain.subject != varied.subject
    with pytest.raises(FailedPreconditionError, match="away from the reference"):
        varied.ensure()  # by an engine whose convolutions do not wrap around
    stand_in.axes = "xy"
    varied.ensure()
    assert varied.is_built(plain.plan) and not plain.is_built(plain.plan)


def test_cudas_errors_are_reported(
    component: Component, settings: EngineSettings, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(*_arguments: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(making, "build_engine", exhausted)
    with pytest.raises(TriptychError, match="building a TensorRT engine failed: CUDA out of memory"):
        build_artifact(component, "tensorrt", settings)


def test_an_engine_of_the_architecture_is_checked_once_for_each_checkpoint(
    component: Component, settings: EngineSettings, stand_in: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(OVERRIDE, "architecture")
    made = making.Making(component, settings)
    made.ensure()
    probes: list[str] = []

    def probe(_reference: Engine, what: str) -> float:
        probes.append(what)
        return 0.0

    for _ in range(2):
        made.check_once(probe)
    assert probes == ["the engine refitted to this checkpoint"]
    (made.ensure() / "engine.plan").unlink()
    made.ensure()
    made.check_once(probe)
    assert len(probes) == 2

"""On a GPU with TensorRT: tiny checkpoints built, compared with torch, and refitted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import CACHE
from tests.engine.tensorrt.beside_unet import NAMES, save_all
from tests.engine.torch.test_engine import inputs_of, joined
from triptych.checkpoint import Checkpoint
from triptych.contract import ENCODER, UNET, VAE_DECODER, VAE_ENCODER
from triptych.engine import Engine, EngineSettings, load_engine
from triptych.engine.rewriting.variant import Variant
from triptych.engine.tensorrt.build.plan import OVERRIDE, RefitPlan
from triptych.engine.tensorrt.engine import TensorRtEngine
from triptych.engine.tensorrt.network.typed import TypedGraph
from triptych.engine.tensorrt.plain import OVERRIDE as PLAIN_OVERRIDE
from triptych.engine.tensorrt.probe import TOLERANCES, relative_error
from triptych.engine.weights import float32_weights
from triptych.errors import FailedPreconditionError, InvalidArgumentError

pytestmark = [pytest.mark.tensorrt, pytest.mark.timeout(1200)]
VARIANTS = (
    Variant(is_controlled=True),
    Variant(prompts=1),
    Variant("xy"),
    Variant("x", is_controlled=True, prompts=2),
)
MODELS = (ENCODER.name, UNET.name, VAE_DECODER.name, VAE_ENCODER.name)


@pytest.fixture(autouse=True)
def nothing_beside(monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs on which engine would change in the midst of a test."""
    monkeypatch.setenv(PLAIN_OVERRIDE, "never")


@pytest.fixture(scope="module", autouse=True)
def gpu() -> None:
    pytest.importorskip("tensorrt", exc_type=ImportError)
    if not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU")


def engines(
    checkpoints: dict[str, Path], cache: Path, model: str, precision: str, family: str = "sd1"
) -> tuple[Engine, Engine]:
    component = Checkpoint.open(checkpoints[family]).components[model]
    settings = EngineSettings(2, cache, "cuda:0", precision)
    return load_engine("tensorrt", component, settings), load_engine("torch", component, EngineSettings(2, CACHE))


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    (CACHE / "graphs").mkdir(parents=True, exist_ok=True)
    (folder / "graphs").symlink_to(CACHE / "graphs", target_is_directory=True)
    return folder


@pytest.mark.parametrize("family", ["sd1", "sd2"])
@pytest.mark.parametrize("precision", list(TOLERANCES))
@pytest.mark.parametrize("model", MODELS)
def test_outputs_are_torchs(checkpoints: dict[str, Path], cache: Path, model: str, precision: str, family: str) -> None:
    engine, reference = engines(checkpoints, cache, model, precision, family)
    expected = joined(reference.infer(inputs_of(model)))
    runs = [joined(engine.infer(inputs_of(model))) for _ in range(8)]  # from the fourth on, a CUDA graph
    assert all(np.array_equal(runs[0], run) for run in runs)
    assert relative_error(runs[0], expected) < TOLERANCES[precision]


def test_batches_larger_than_the_profile(checkpoints: dict[str, Path], cache: Path) -> None:
    engine, reference = engines(checkpoints, cache, UNET.name, "fp32")
    inputs = {name: np.concatenate([array] * 5) for name, array in inputs_of(UNET.name).items()}
    assert relative_error(joined(engine.infer(inputs)), joined(reference.infer(inputs))) < TOLERANCES["fp32"]
    with pytest.raises(InvalidArgumentError, match="was not built for"):
        engine.infer({**inputs, "latents": np.zeros((10, 4, 17, 8), np.float32)})


@pytest.mark.parametrize("plan", [RefitPlan.PER_CHECKPOINT, RefitPlan.PER_ARCHITECTURE])
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("model", [ENCODER.name, UNET.name])
def test_fifty_refits_leave_no_trace(
    checkpoints: dict[str, Path],
    cache: Path,
    model: str,
    precision: str,
    plan: RefitPlan,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(OVERRIDE, plan.value)
    engine, reference = engines(checkpoints, cache, model, precision)
    untouched = joined(engine.infer(inputs_of(model)))
    component = Checkpoint.open(checkpoints["sd1"]).components[model]
    names = sorted(reference._parameters)  # type: ignore[attr-defined]
    random = np.random.default_rng(1)
    for step in range(50):
        chosen = random.choice(names, 4, replace=False).tolist()
        weights: dict[str, Any] = {}
        for name, array in float32_weights(component, chosen):
            noise = random.standard_normal(array.shape, dtype=np.float32) * np.float32(0.05)
            weights[name] = array + noise if random.random() < 0.7 else None
        for one in (engine, reference):
            one.refit(weights)
        if step % 10 == 9:
            actual, expected = (joined(one.infer(inputs_of(model))) for one in (engine, reference))
            assert relative_error(actual, expected) < 2 * TOLERANCES[precision]
    assert not np.array_equal(joined(engine.infer(inputs_of(model))), untouched)
    engine.refit(dict.fromkeys(names))
    assert np.array_equal(joined(engine.infer(inputs_of(model))), untouched)


def test_the_debug_probe_passes(checkpoints: dict[str, Path], cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_ENGINE_DEBUG", "1")
    monkeypatch.setenv(OVERRIDE, "checkpoint")
    engine, _ = engines(checkpoints, cache, UNET.name, "fp16")
    engine.refit({"conv_in.weight": np.full((16, 4, 3, 3), 0.02, np.float32)})
    engine.refit({"conv_in.weight": None})


def test_a_convolution_is_opened_beside_the_engine_that_runs(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "graphs").symlink_to(CACHE / "graphs", target_is_directory=True)
    engine, reference = engines(checkpoints, tmp_path, UNET.name, "fp16")
    assert isinstance(engine, TensorRtEngine)
    with pytest.raises(FailedPreconditionError, match="is being built"):
        engine.prepare_refit(["conv_in.weight"])
    before = joined(engine.infer(inputs_of(UNET.name)))
    assert engine._beside._wider is not None and engine._beside._wider.wait(900)
    engine.prepare_refit(["conv_in.weight"])
    assert relative_error(joined(engine.infer(inputs_of(UNET.name))), before) < TOLERANCES["fp16"]
    for one in (engine, reference):
        one.refit({"conv_in.weight": np.full((16, 4, 3, 3), 0.02, np.float32)})
    actual, expected = (joined(one.infer(inputs_of(UNET.name))) for one in (engine, reference))
    assert relative_error(actual, expected) < TOLERANCES["fp16"]


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("variant", VARIANTS)
def test_other_graphs_are_torchs_with_the_same_loras(
    checkpoints: dict[str, Path], cache: Path, variant: Variant, precision: str
) -> None:
    component = Checkpoint.open(checkpoints["sd1"]).components[UNET.name]
    engine, reference = engines(checkpoints, cache, UNET.name, precision)
    assert isinstance(engine, TensorRtEngine)
    name = next(iter(engine._pair.refittable.names))
    weights = {name: np.full(component.weights[name].shape, 0.02, np.float32)}
    given = TypedGraph.of(component, EngineSettings(2, CACHE), variant).best_sample()
    outputs = []
    engine.refit(weights)
    engine._beside.variants.prepare(variant)
    for one in (engine, reference):
        one.refit(weights)
        with_lora = joined(one.infer_wrapped(given, variant.axes))
        one.refit({name: None})
        outputs.append([with_lora, joined(one.infer_wrapped(given, variant.axes))])
    for actual, expected in zip(*outputs, strict=True):
        assert relative_error(actual, expected) < TOLERANCES[precision]
    assert relative_error(outputs[0][0], outputs[0][1]) > 0


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("name", NAMES)
def test_what_stands_beside_a_unet_is_torchs(
    checkpoints: dict[str, Path], tmp_path: Path, cache: Path, name: str, precision: str
) -> None:
    component = save_all(tmp_path, checkpoints)[name]
    given = TypedGraph.of(component, EngineSettings(2, CACHE)).best_sample()
    engine = load_engine("tensorrt", component, EngineSettings(2, cache, "cuda:0", precision))
    expected = load_engine("torch", component, EngineSettings(2, CACHE)).infer(given)
    outputs = engine.infer(given)
    assert all(relative_error(outputs[each], expected[each]) < TOLERANCES[precision] for each in expected)


def test_a_plain_engine_runs_what_needs_no_lora(
    checkpoints: dict[str, Path], cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PLAIN_OVERRIDE, "always")
    engine, reference = engines(checkpoints, cache, UNET.name, "fp16")
    assert isinstance(engine, TensorRtEngine)
    assert engine._beside._plain is not None and engine._beside._plain.wait(900)
    assert engine._pair.current is engine._pair.plain
    name = next(name for name in engine._pair.refittable.names)
    shape = Checkpoint.open(checkpoints["sd1"]).components[UNET.name].weights[name].shape
    for weights in ({name: np.full(shape, 0.02, np.float32)}, {name: None}):
        for one in (engine, reference):
            one.refit(weights)
        actual, expected = (joined(one.infer(inputs_of(UNET.name))) for one in (engine, reference))
        assert relative_error(actual, expected) < TOLERANCES["fp16"]

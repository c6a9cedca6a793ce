"""CUDA graphs of a torch module: when a shape is recorded, and that what is replayed is what would have been run."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.conftest import CACHE
from tests.engine.torch.test_engine import component_of, inputs_of, joined
from triptych.contract import ENCODER, IMAGE_PROMPT, UNET
from triptych.engine import EngineSettings
from triptych.engine.conditions import cross_attention_widths
from triptych.engine.torch.engine import TorchEngine
from triptych.engine.torch.graphs import CAPTURE_AFTER_RUNS, MOST_SHAPES, GraphedModule
from triptych.engine.weights import float32_weights


@pytest.fixture
def engine(checkpoints: dict[str, Path]) -> TorchEngine:
    if not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU")
    return TorchEngine.load(component_of(checkpoints, UNET.name), EngineSettings(2, CACHE, "cuda:0", "fp16"))


def recorded(engine: TorchEngine) -> int:
    assert isinstance(engine._module, GraphedModule)
    return sum(shape._graph is not None for shape in engine._module._shapes.values())


def sized(samples: int, height: int = 7) -> dict[str, np.ndarray]:
    random = np.random.default_rng(samples)
    return {
        "latents": random.standard_normal((samples, 4, height, 6), dtype=np.float32),
        "timestep": random.uniform(0, 999, samples).astype(np.float32),
        "encoder_hidden_states": random.standard_normal((samples, 77, 32), dtype=np.float32),
    }


@pytest.mark.cuda
def test_a_replay_is_the_run(
    engine: TorchEngine, checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPTYCH_TORCH_GRAPHS", "0")
    plain = TorchEngine.load(component_of(checkpoints, UNET.name), EngineSettings(2, CACHE, "cuda:0", "fp16"))
    for _ in range(CAPTURE_AFTER_RUNS + 2):
        for inputs in (sized(2), sized(1), sized(2, height=9), inputs_of(UNET.name)):
            assert np.array_equal(joined(engine.infer(inputs)), joined(plain.infer(inputs)))
    assert recorded(engine) == 3  # one of the four has another's shape


@pytest.mark.cuda
def test_a_refit_is_seen_by_what_was_recorded(engine: TorchEngine, checkpoints: dict[str, Path]) -> None:
    inputs = sized(2)
    before = [joined(engine.infer(inputs)) for _ in range(CAPTURE_AFTER_RUNS + 1)][-1]
    assert recorded(engine) == 1
    name = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight"
    doubled = {key: 2 * array for key, array in float32_weights(component_of(checkpoints, UNET.name), [name])}
    engine.refit(doubled)
    assert not np.array_equal(joined(engine.infer(inputs)), before)
    engine.refit({name: None})
    assert np.array_equal(joined(engine.infer(inputs)), before)


@pytest.mark.cuda
@pytest.mark.parametrize(("axes", "pictures"), [("xy", 0), ("", 2), ("x", 1)])
def test_a_variant_is_recorded_too_and_sees_a_refit(
    engine: TorchEngine, checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch, axes: str, pictures: int
) -> None:
    unet = component_of(checkpoints, UNET.name)
    inputs = sized(2)
    if pictures:
        width = sum(cross_attention_widths(unet).values())
        shape = (2, 2 * pictures, 4, width)
        inputs[IMAGE_PROMPT.name] = np.random.default_rng(1).standard_normal(shape, dtype=np.float32)
    monkeypatch.setenv("TRIPTYCH_TORCH_GRAPHS", "0")
    plain = TorchEngine.load(unet, EngineSettings(2, CACHE, "cuda:0", "fp16"))
    monkeypatch.delenv("TRIPTYCH_TORCH_GRAPHS")
    name = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight"
    doubled = {key: 2 * array for key, array in float32_weights(unet, [name])}
    seen = []
    for weights in ({}, doubled, {name: None}):
        for each in (engine, plain):
            each.refit(weights)
        for _ in range(CAPTURE_AFTER_RUNS + 2):
            ours, theirs = (joined(each.infer_wrapped(inputs, axes)) for each in (engine, plain))
            assert np.array_equal(ours, theirs)
        seen.append(ours)
    assert np.array_equal(seen[0], seen[2]) and not np.array_equal(seen[0], seen[1])
    variant = engine._variant(axes, is_prompted=bool(pictures))
    assert isinstance(variant, GraphedModule) and variant is not engine._module
    assert [shape._graph is not None for shape in variant._shapes.values()] == [True]
    assert recorded(engine) == 0


@pytest.mark.cuda
def test_shapes_that_came_long_ago_are_dropped(engine: TorchEngine) -> None:
    shapes = [sized(samples) for samples in range(1, MOST_SHAPES + 3)]
    plain = [joined(engine.infer(inputs)) for inputs in shapes]
    for inputs, expected in zip(shapes, plain, strict=True):
        for _ in range(CAPTURE_AFTER_RUNS + 1):
            assert np.array_equal(joined(engine.infer(inputs)), expected)
    assert recorded(engine) == MOST_SHAPES
    engine._release()
    assert recorded(engine) == 0


@pytest.mark.cuda
def test_what_cannot_be_recorded_runs_all_the_same(
    engine: TorchEngine, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_arguments: object, **_settings: object) -> None:
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "graph", refuse)
    answers = [joined(engine.infer(sized(2))) for _ in range(CAPTURE_AFTER_RUNS + 3)]
    assert all(np.array_equal(answer, answers[0]) for answer in answers)
    assert [record.getMessage() for record in caplog.records] == [
        "no CUDA graph could be captured of this shape; it runs without"
    ]


@pytest.mark.cuda
@pytest.mark.filterwarnings("default::DeprecationWarning")  # of the compiler's own
def test_a_recorded_shape_is_compiled_beside_its_runs_and_recorded_again(
    checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no NVIDIA GPU")
    monkeypatch.setenv("TRIPTYCH_TORCH_COMPILE", "1")
    engine = TorchEngine.load(component_of(checkpoints, UNET.name), EngineSettings(2, CACHE, "cuda:0", "fp16"))
    assert isinstance(engine._module, GraphedModule)
    plain = [joined(engine.infer(sized(2))) for _ in range(CAPTURE_AFTER_RUNS + 1)][-1]
    (shape,) = engine._module._shapes.values()
    assert shape._compiling is not None
    compiled = shape._compiling.result(300)
    fused = joined(engine.infer(sized(2)))
    assert shape._module is compiled and recorded(engine) == 1
    assert not [record for record in caplog.records if record.name.startswith("triptych")]
    assert np.linalg.norm(fused - plain) < 1e-2 * np.linalg.norm(plain)
    # Compiled kernels read the parameters where they lie as well.
    name = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight"
    engine.refit({key: 2 * array for key, array in float32_weights(component_of(checkpoints, UNET.name), [name])})
    assert not np.array_equal(joined(engine.infer(sized(2))), fused)
    engine.refit({name: None})
    assert np.array_equal(joined(engine.infer(sized(2))), fused)


@pytest.mark.cuda
def test_a_shape_that_cannot_be_compiled_stays_as_it_is(engine: TorchEngine, caplog: pytest.LogCaptureFixture) -> None:
    assert isinstance(engine._module, GraphedModule)
    [engine.infer(sized(2)) for _ in range(CAPTURE_AFTER_RUNS + 1)]
    (shape,) = engine._module._shapes.values()
    graph, shape._compiling = shape._graph, Future()
    shape._compiling.set_exception(RuntimeError("no compiler"))
    engine.infer(sized(2))
    assert shape._graph is graph and shape._compiling is None
    assert [record.getMessage() for record in caplog.records] == ["this shape runs uncompiled: torch.compile failed"]


def test_only_a_gpu_has_them(checkpoints: dict[str, Path]) -> None:
    for model in (UNET.name, ENCODER.name):
        engine = TorchEngine.load(component_of(checkpoints, model), EngineSettings(2, CACHE))
        assert not isinstance(engine._module, GraphedModule)
        assert isinstance(engine.infer_kept(inputs_of(model)).popitem()[1], torch.Tensor)

"""The engine's life on a stand-in: runs, captures, refits, and what happens when TensorRT refuses."""

from __future__ import annotations

import json
import shutil
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.conftest import CACHE
from tests.engine.tensorrt.standin import VERSIONS, real_names
from tests.engine.tensorrt.standin.cuda import Captured
from tests.tiny import replace_weights
from triptych.checkpoint import Checkpoint
from triptych.contract import UNET
from triptych.engine import EngineSettings
from triptych.engine.port import Array
from triptych.engine.tensorrt.build.keys import Gpu
from triptych.engine.tensorrt.build.plan import RefitPlan
from triptych.engine.tensorrt.complaints import note_error
from triptych.engine.tensorrt.engine import TensorRtEngine
from triptych.engine.tensorrt.network.typed import TypedGraph
from triptych.engine.tensorrt.pair import Pair
from triptych.engine.tensorrt.refittable import Refittable
from triptych.engine.tensorrt.run import device_weights
from triptych.engine.tensorrt.run.session import Session
from triptych.engine.tensorrt.run.shape import CAPTURE_AFTER_RUNS, RETRY_AFTER_RUNS
from triptych.engine.weights import float32_weights
from triptych.errors import FailedPreconditionError, InvalidArgumentError, ResourceExhaustedError, TriptychError

QUERY = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q.weight"
KEY = QUERY.replace("to_q", "to_k")
NOTHING_BESIDE: Any = SimpleNamespace(require=lambda names: None, close=lambda: None)


def half(graph: TypedGraph, name: str) -> Array:
    return next(array for _, array in float32_weights(graph.component, [name])).astype(np.float16).ravel()


def new_session(graph: TypedGraph) -> Session:
    plan = json.dumps({name: half(graph, name).tolist() for name in graph.targets}).encode()
    return Session(plan, graph.dims, graph.profiles, torch.device("cpu"))


GPU = Gpu("NVIDIA L4", (8, 9), "10.13.0")


def new_engine(
    graph: TypedGraph, one: Session | None = None, plan: RefitPlan = RefitPlan.PER_CHECKPOINT
) -> tuple[TensorRtEngine, Any]:
    pair = Pair(Refittable(graph, one or new_session(graph), plan), threading.Lock())
    return TensorRtEngine(graph, pair, NOTHING_BESIDE, None, GPU), pair.refittable.session.engine


def inputs(batch: int = 2, extent: int = 8) -> dict[str, Array]:
    random = np.random.default_rng(batch)
    latents = random.standard_normal((batch, 4, extent, extent), dtype=np.float32)
    states = random.standard_normal((batch, 77, 32), dtype=np.float32)
    return {"latents": latents, "timestep": np.zeros(batch, np.float32), "encoder_hidden_states": states}


def factor(engine: TensorRtEngine) -> float:
    """What the stand-in multiplies latents with: the sum of its weights."""
    sample = inputs()
    return float((engine.infer(sample)["noise_pred"] / sample["latents"]).mean())


def test_the_bindings_have_what_is_used_by_name() -> None:
    for version in VERSIONS:
        names = real_names(version)
        assert names["classes"]["IExecutionContext"]["properties"]["device_memory"] == "settable"
        assert {"RUNTIME_ACTIVATION_RESIZE_10_10"} <= set(names["enums"]["PreviewFeature"])
        assert {"HALF", "BF16", "FLOAT", "INT64"} <= set(names["enums"]["DataType"])


def test_a_name_that_the_bindings_lack_is_refused(trt: Any) -> None:
    config = trt.Builder(None).create_builder_config()
    with pytest.raises(AttributeError):
        config.progres_monitor = None
    with pytest.raises(AttributeError):
        config.set_flag(trt.BuilderFlag.FP8_FAST)
    with pytest.raises(TypeError):
        config.set_flag(flags=trt.BuilderFlag.TF32)


def test_batches_run_in_the_profiles_that_hold_them(trt: Any, graph: TypedGraph) -> None:
    one = new_session(graph)
    scale = sum(half(graph, name).astype(np.float64).sum() for name in graph.targets)
    for batch, extent, used in ((2, 8, {0}), (7, 8, {1}), (40, 8, {2}), (5, 10, {3})):
        one.engine._contexts.clear()
        sample = inputs(batch, extent)
        np.testing.assert_allclose(one.run(sample)["noise_pred"], sample["latents"] * np.float32(scale), rtol=1e-5)
        assert {context.active_optimization_profile for context in one.engine._contexts} == used
    one.engine._contexts.clear()
    one.run_with(inputs(2, 8), 3)
    assert [context.active_optimization_profile for context in one.engine._contexts] == [3]


def test_what_an_engine_keeps_the_next_one_takes(trt: Any, graph: TypedGraph) -> None:
    one = new_session(graph)
    for batch in (2, 40):  # of which the latter is run in parts
        sample = inputs(batch)
        kept = one.run(sample, kept=True)
        assert isinstance(kept["noise_pred"], torch.Tensor)
        whole = one.run(sample)
        assert np.array_equal(kept["noise_pred"].numpy(), whole["noise_pred"])
        again = one.run(sample | {"latents": kept["noise_pred"]}, kept=True)
        assert np.array_equal(again["noise_pred"], one.run(sample | {"latents": whole["noise_pred"]})["noise_pred"])
        assert np.array_equal(kept["noise_pred"].numpy(), whole["noise_pred"])  # a later run writes nothing over it


def test_one_number_for_all_of_an_input_is_written_there(trt: Any, graph: TypedGraph) -> None:
    one = new_session(graph)
    for value in (0.0, 0.5):
        everywhere = np.full((2, 4, 8, 8), value, np.float32)
        seen = np.broadcast_to(np.float32(value), everywhere.shape)
        outputs = [one.run(inputs() | {"latents": each})["noise_pred"] for each in (everywhere, seen)]
        assert np.array_equal(*outputs)


def test_a_batch_runs_as_the_larger_one_that_was_measured_to_be_quicker(trt: Any, graph: TypedGraph) -> None:
    one = new_session(graph)
    padded = Session(json.dumps({}).encode(), graph.dims, graph.profiles, torch.device("cpu"), {3: 5})
    padded.engine = one.engine
    for extent, batch in ((8, 5), (10, 3)):  # at the checkpoint's own size alone
        one.engine._contexts.clear()
        sample = inputs(3, extent)
        outputs = padded.run(sample)["noise_pred"]
        (context,) = one.engine._contexts
        assert context._shapes["latents"][0] == batch
        assert np.array_equal(outputs, one.run(sample)["noise_pred"])


def test_a_context_that_needs_no_memory_has_failed(trt: Any, graph: TypedGraph) -> None:
    trt.IExecutionContext._memory_bytes = 0
    with pytest.raises(TriptychError, match="refused to say what memory a shape needs"):
        new_session(graph).run(inputs())


def test_a_profile_that_is_not_the_one_asked_for(trt: Any, graph: TypedGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trt.IExecutionContext, "active_optimization_profile", 1)
    with pytest.raises(TriptychError, match="refused the profile 0"):
        new_session(graph).run(inputs())


def test_merged_weights_are_given_together(trt: Any, graph: TypedGraph) -> None:
    trt.Refitter._together = frozenset({QUERY, KEY})
    engine, held = new_engine(graph)
    weights = graph.component.weights
    engine.refit({QUERY: np.ones(weights[QUERY].shape, np.float32)})
    assert (held._weights[QUERY] == 1).all() and np.array_equal(held._weights[KEY], half(graph, KEY))
    engine.refit({KEY: np.full(weights[KEY].shape, 2, np.float32)})
    engine.refit({QUERY: None})  # the key given with it is the present one, not the checkpoint's
    assert np.array_equal(held._weights[QUERY], half(graph, QUERY)) and (held._weights[KEY] == 2).all()
    engine.refit({KEY: None})
    assert np.array_equal(held._weights[KEY], half(graph, KEY))


def test_the_way_back_is_to_the_file_that_was_loaded(trt: Any, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    folder = Path(shutil.copytree(checkpoints["sd1"], tmp_path / "checkpoint"))
    component = Checkpoint.open(folder).components[UNET.name]
    graph = TypedGraph.of(component, EngineSettings(2, CACHE, precision="fp16"))
    base = half(graph, QUERY)
    engine, held = new_engine(graph)
    engine.refit({QUERY: np.ones(component.weights[QUERY].shape, np.float32)})
    replace_weights(folder / "unet" / "diffusion_pytorch_model.safetensors")
    engine.refit({QUERY: None})
    assert np.array_equal(held._weights[QUERY], base)


def test_a_refit_that_fails_halfway_goes_back_to_the_base(trt: Any, graph: TypedGraph) -> None:
    engine, held = new_engine(graph)
    base = factor(engine)
    ones = {name: np.ones(graph.component.weights[name].shape, np.float32) for name in (QUERY, KEY)}
    engine.refit(ones)
    assert factor(engine) != base
    trt.Refitter._failures.append("the next one")
    with pytest.raises(TriptychError, match=r"the checkpoint's own weights are back: TensorRT refused a refit"):
        engine.refit({name: 2 * array for name, array in ones.items()})
    assert not engine._pair.refittable._refitter._refitter._given  # type: ignore[union-attr]
    assert factor(engine) == base
    engine.refit(ones)
    assert (held._weights[QUERY] == 1).all()


def test_an_engine_that_cannot_go_back_says_so(trt: Any, graph: TypedGraph) -> None:
    engine, _ = new_engine(graph)
    trt.Refitter._failures += ["the refit", "and the way back"]
    ones = {name: np.ones(graph.component.weights[name].shape, np.float32) for name in (QUERY, KEY)}
    with pytest.raises(TriptychError, match="refused a refit"):
        engine.refit(ones)
    with pytest.raises(FailedPreconditionError, match="load the model again"):
        engine.infer(inputs())
    engine.refit(dict.fromkeys(graph.targets))
    assert np.isfinite(engine.infer(inputs())["noise_pred"]).all()


def test_an_engine_for_any_checkpoint_gets_all_of_this_ones_weights(trt: Any, graph: TypedGraph) -> None:
    zeros = {name: np.zeros(int(np.prod(shape))).tolist() for name, shape in graph.parameters.items()}
    one = Session(json.dumps(zeros).encode(), graph.dims, graph.profiles, torch.device("cpu"))
    new_engine(graph, one, RefitPlan.PER_ARCHITECTURE)
    assert all(np.array_equal(one.engine._weights[name], half(graph, name)) for name in graph.parameters)


def test_weights_that_are_closed_are_named(trt: Any, graph: TypedGraph) -> None:
    one = new_session(graph)
    del one.engine._weights["conv_out.weight"]
    with pytest.raises(FailedPreconditionError, match=r"keeps 1 weights closed.*conv_out"):
        new_engine(graph, one)


def test_shapes_that_alternate_are_captured_once_each(trt: Any, graph: TypedGraph) -> None:
    engine, _ = new_engine(graph)
    shapes = [(batch, extent) for batch in (1, 2, 3, 4) for extent in (8, 10)]
    for _ in range(6):
        for batch, extent in shapes:
            engine.infer(inputs(batch, extent))
    assert len(Captured.made) == 8 and all(graph.replays == 3 for graph in Captured.made)
    engine.refit({QUERY: np.ones(graph.component.weights[QUERY].shape, np.float32)})
    for captured in (8, 16, 16):  # a plain run comes first, for weights may change with every run
        for batch, extent in shapes:
            engine.infer(inputs(batch, extent))
        assert len(Captured.made) == captured


def test_a_graph_never_outlives_the_weights_it_was_captured_with(trt: Any, graph: TypedGraph) -> None:
    engine, _ = new_engine(graph)
    ones = np.ones(graph.component.weights[QUERY].shape, np.float32)
    base = [factor(engine) for _ in range(6)]
    for _ in range(4):
        engine.refit({QUERY: ones})
        changed = factor(engine)
        engine.refit({QUERY: None})
        assert factor(engine) == base[0] != changed
    assert len(Captured.made) == 1 and len(set(base)) == 1


def test_a_capture_that_fails_is_tried_once_more(trt: Any, graph: TypedGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    tries: list[int] = []
    ran = 0

    def disturbed(_graph: Captured, **_options: Any) -> Any:
        tries.append(ran)
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(torch.cuda, "graph", disturbed)
    engine, _ = new_engine(graph)
    expected = factor(engine)
    for ran in range(1, 3 * RETRY_AFTER_RUNS):  # noqa: B007
        assert factor(engine) == expected
    assert tries == [CAPTURE_AFTER_RUNS, CAPTURE_AFTER_RUNS + RETRY_AFTER_RUNS]


def test_a_capture_disturbed_once_is_made_later(trt: Any, graph: TypedGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    capture, disturbances = torch.cuda.graph, ["a build"]

    def disturbed(captured: Any, **options: Any) -> Any:
        if disturbances:
            raise RuntimeError(disturbances.pop())
        return capture(captured, **options)

    monkeypatch.setattr(torch.cuda, "graph", disturbed)
    engine, _ = new_engine(graph)
    for _ in range(CAPTURE_AFTER_RUNS + RETRY_AFTER_RUNS + 5):
        engine.infer(inputs())
    assert [captured.replays for captured in Captured.made] == [0, 5]


def test_memory_that_is_short_is_given_back_first(trt: Any, graph: TypedGraph, monkeypatch: pytest.MonkeyPatch) -> None:
    engine, held = new_engine(graph)
    whole = engine.infer(inputs(4))["noise_pred"]
    failures = [torch.OutOfMemoryError("CUDA out of memory")]
    compute = trt.IExecutionContext.execute_async_v3

    def short(self: Any, stream_handle: int) -> bool:
        if failures:
            raise failures.pop()
        return bool(compute(self, stream_handle))

    monkeypatch.setattr(trt.IExecutionContext, "execute_async_v3", short)
    held._contexts.clear()
    assert np.array_equal(engine.infer(inputs(4))["noise_pred"], whole)
    assert [context._shapes["latents"][0] for context in held._contexts] == [2]  # its halves, on a new context


def test_a_context_that_finds_no_memory_has_its_batch_halved(
    trt: Any, graph: TypedGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, held = new_engine(graph)
    whole = engine.infer(inputs(4))["noise_pred"]
    create, failures = trt.ICudaEngine.create_execution_context, ["the first one"]

    def short(self: Any, strategy: Any) -> Any:
        if failures:
            note_error(
                f"[executionContext.cpp] Error Code 2: OutOfMemory (Requested size was 4096 bytes.) {failures.pop()}"
            )
            return None
        return create(self, strategy)

    monkeypatch.setattr(trt.ICudaEngine, "create_execution_context", short)
    engine._pair.refittable.session.release()
    held._contexts.clear()
    assert np.array_equal(engine.infer(inputs(4))["noise_pred"], whole)
    assert [context._shapes["latents"][0] for context in held._contexts] == [2]


def test_a_context_that_never_finds_memory_says_what_it_asked_for(
    trt: Any, graph: TypedGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(self: Any, strategy: Any) -> None:
        note_error("Requested amount of GPU memory (4096 bytes) could not be allocated.")

    engine, _ = new_engine(graph)
    monkeypatch.setattr(trt.ICudaEngine, "create_execution_context", short)
    with pytest.raises(ResourceExhaustedError, match=r"too small for latents \(1, 4, 8, 8\).*4096 bytes"):
        engine.infer(inputs(2))
    monkeypatch.setattr(trt.ICudaEngine, "create_execution_context", lambda self, strategy: None)
    with pytest.raises(TriptychError, match="refused to make an execution context") as other:
        engine.infer(inputs(2))  # for another reason, and what was said before is forgotten
    assert other.value.reason == "INTERNAL"


def test_what_another_thread_complains_of_is_not_this_ones(
    trt: Any, graph: TypedGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused_while_a_build_complains(self: Any, strategy: Any) -> None:
        build = threading.Thread(target=note_error, args=["Error Code 2: OutOfMemory (a tactic's workspace)"])
        build.start()
        build.join()

    engine, _ = new_engine(graph)
    monkeypatch.setattr(trt.ICudaEngine, "create_execution_context", refused_while_a_build_complains)
    with pytest.raises(TriptychError, match="refused to make an execution context"):
        engine.infer(inputs(2))


def test_an_engine_too_large_for_the_gpu_is_not_blamed_on_the_cache(
    trt: Any, graph: TypedGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    def short(self: Any, serialized_engine: Any) -> None:
        note_error("Error Code 1: Cuda Runtime (out of memory)")

    monkeypatch.setattr(trt.Runtime, "deserialize_cuda_engine", short)
    with pytest.raises(ResourceExhaustedError, match=r"too small for the engine: .*out of memory"):
        new_session(graph)
    monkeypatch.setattr(trt.Runtime, "deserialize_cuda_engine", lambda self, serialized_engine: None)
    with pytest.raises(FailedPreconditionError, match="delete its folder"):
        new_session(graph)


def test_what_an_engine_takes_is_told_without_a_run(trt: Any, graph: TypedGraph) -> None:
    engine, held = new_engine(graph)
    engine.check({name: array.shape for name, array in inputs(40).items()})  # in parts
    with pytest.raises(InvalidArgumentError, match="was not built for latent_height 64"):
        engine.check({name: array.shape for name, array in inputs(1, 64).items()})
    assert not held._contexts


def test_sets_that_alternate_cross_to_the_gpu_once(
    trt: Any, graph: TypedGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, held = new_engine(graph)
    ones = np.ones(graph.component.weights[QUERY].shape, np.float32)
    brought: list[float] = []

    def counted(value: Any, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
        brought.append(float(value.flat[0]))
        return torch.tensor(value).to(dtype)

    monkeypatch.setattr(device_weights, "brought", counted)
    for _ in range(5):
        engine.refit({QUERY: ones})
        assert (held._weights[QUERY] == 1).all()
        engine.refit({QUERY: None})
        assert np.array_equal(held._weights[QUERY], half(graph, QUERY))
    assert len(brought) == 2

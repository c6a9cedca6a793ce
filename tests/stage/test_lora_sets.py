"""LoRA sets go into a running engine and out of it again, prepared beside it, and leave no trace."""

from __future__ import annotations

import gc
import hashlib
import shutil
import threading
import time
import weakref
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.conftest import CACHE
from tests.loras import save_lora
from tests.tiny import replace_weights
from triptych.checkpoint import Checkpoint, Component
from triptych.contract import NO_LORAS, LoraWeight, encode_lora_set, lora_key
from triptych.contract.carried import LoraLostError, LoraPreparingError
from triptych.engine import Engine, EngineSettings, load_engine
from triptych.engine.port import Weights
from triptych.engine.weights import map_files
from triptych.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    LoraBrokenError,
    LoraInvalidError,
    NotFoundError,
    UnavailableError,
)
from triptych.stage import lora_sets
from triptych.stage.lora_sets import LoraSets, MergedSet

SETTINGS = EngineSettings(threads=2, cache_dir=CACHE)
INPUTS = {
    "latents": np.random.default_rng(0).standard_normal((2, 4, 9, 7), np.float32),
    "timestep": np.array([3.0, 900.0], np.float32),
    "encoder_hidden_states": np.random.default_rng(1).standard_normal((2, 77, 32), np.float32),
}


class Recorder:
    """Stands before an engine and notes what every refit named."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.refits: list[set[str]] = []
        self.fail = False
        self.not_ready = ""

    def prepare_refit(self, names: Iterable[str]) -> None:
        if self.not_ready:
            raise FailedPreconditionError(f"{min(names)}: {self.not_ready}")

    def refit(self, weights: Weights) -> None:
        self.refits.append(set(weights))
        if self.fail:
            half = dict(list(weights.items())[: len(weights) // 2])
            self.engine.refit(half)
            raise RuntimeError("no memory")
        self.engine.refit(weights)


@pytest.fixture(scope="module")
def component(checkpoints: dict[str, Path]) -> Component:
    return Checkpoint.open(checkpoints["sd1"]).components["unet"]


@pytest.fixture(scope="module")
def files(checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> list[LoraWeight]:
    """Four LoRAs: of everything, of attention alone, of convolutions alone, of everything again."""
    folder = tmp_path_factory.mktemp("loras")
    made = []
    for seed, only in enumerate(("", "attn", "conv", "")):
        path = save_lora(folder / f"{seed}.safetensors", checkpoints["sd1"], seed, only=only)
        made.append(LoraWeight(hashlib.sha256(path.read_bytes()).hexdigest(), str(path), 1.0))
    return made


@pytest.fixture(params=["onnxruntime", "torch"])
def engine(request: pytest.FixtureRequest, component: Component) -> Engine:
    return load_engine(request.param, component, SETTINGS)


def noise_pred(engine: Engine) -> np.ndarray:
    return engine.infer(INPUTS)["noise_pred"].copy()


def swap(sets: LoraSets, *loras: LoraWeight) -> bytes:
    """Activates a set, however long it takes to prepare."""
    merged = prepared(sets, *loras)
    sets.activate(merged)
    return merged.key


def prepared(sets: LoraSets, *loras: LoraWeight) -> MergedSet:
    key = lora_key(loras)
    until = time.monotonic() + 60
    while True:
        try:
            return sets.require(key, encode_lora_set(loras))
        except UnavailableError:
            assert time.monotonic() < until
            time.sleep(0.002)


def at(lora: LoraWeight, weight: float) -> LoraWeight:
    return LoraWeight(lora.digest, lora.path, weight)


def test_fifty_random_swaps_leave_no_trace(engine: Engine, component: Component, files: list[LoraWeight]) -> None:
    base = noise_pred(engine)
    sets = LoraSets(engine, component, map_files(component), 1 << 30)
    random = np.random.default_rng(7)
    first: dict[bytes, np.ndarray] = {}
    for _ in range(50):
        chosen = random.permutation(4)[: random.integers(0, 5)]
        key = swap(sets, *(at(files[i], float(random.choice([-0.5, 0.5, 1.0]))) for i in chosen))
        output = noise_pred(engine)
        # A set gives the same bits whatever was there before it.
        assert np.array_equal(first.setdefault(key, output), output)
        assert np.array_equal(output, base) == (key == NO_LORAS)
    swap(sets)
    assert np.array_equal(noise_pred(engine), base)


@pytest.mark.parametrize("engine_name", ["onnxruntime", "torch"])
def test_a_checkpoint_may_be_replaced_by_a_rename_while_it_is_served(
    checkpoints: dict[str, Path], tmp_path: Path, files: list[LoraWeight], engine_name: str
) -> None:
    folder = Path(shutil.copytree(checkpoints["sd1"], tmp_path / "checkpoint"))
    component = Checkpoint.open(folder).components["unet"]
    engine = load_engine(engine_name, component, SETTINGS)
    sets = LoraSets(engine, component, map_files(component), 1 << 30)
    base = noise_pred(engine)
    swap(sets, files[0])
    expected = noise_pred(engine)
    sets = LoraSets(engine, component, sets._maps, 1 << 30)  # which has prepared nothing yet
    replace_weights(folder / "unet" / "diffusion_pytorch_model.safetensors")
    swap(sets, files[0])
    assert np.array_equal(noise_pred(engine), expected)
    swap(sets)
    assert np.array_equal(noise_pred(engine), base)


@pytest.mark.parametrize("engine_name", ["onnxruntime", "torch"])
def test_what_the_checkpoint_has_in_half_precision_stays_so(
    checkpoints: dict[str, Path], tmp_path: Path, files: list[LoraWeight], engine_name: str
) -> None:
    outputs = []
    for dtype in (torch.float16, torch.float32):
        folder = Path(shutil.copytree(checkpoints["sd1"], tmp_path / str(dtype)))
        path = folder / "unet" / "diffusion_pytorch_model.safetensors"
        save_file({name: tensor.half().to(dtype) for name, tensor in load_file(path).items()}, path)
        component = Checkpoint.open(folder).components["unet"]
        engine = load_engine(engine_name, component, SETTINGS)
        base = noise_pred(engine)
        sets = LoraSets(engine, component, map_files(component), 1 << 30)
        key = swap(sets, files[0])
        outputs.append(noise_pred(engine))
        assert {array.dtype for array in sets.require(key, None).weights.values()} == {component_type(dtype)}
        assert not np.array_equal(outputs[-1], base)
        swap(sets)
        assert np.array_equal(noise_pred(engine), base)
    halves, floats = outputs
    assert np.linalg.norm(halves - floats) < 2e-3 * np.linalg.norm(floats)


def component_type(dtype: torch.dtype) -> np.dtype[Any]:
    return np.dtype(str(dtype).removeprefix("torch."))


def test_many_threads_merge_to_the_same_bits(component: Component, files: list[LoraWeight]) -> None:
    engine = load_engine("onnxruntime", component, SETTINGS)
    merged = []
    for threads in (1, 5):
        sets = LoraSets(engine, component, map_files(component), 1 << 30, threads)
        merged.append(prepared(sets, *files).weights)
        sets.close()
    alone, together = merged
    assert list(alone) == list(together)
    assert all(np.array_equal(array, together[name]) for name, array in alone.items())


def test_only_what_differs_is_refitted(component: Component, files: list[LoraWeight]) -> None:
    recorder = Recorder(load_engine("onnxruntime", component, SETTINGS))
    sets = LoraSets(recorder, component, map_files(component), 1 << 30)  # type: ignore[arg-type]
    attention, convolution = files[1], files[2]
    swap(sets, attention)
    attentions = recorder.refits[0]
    assert attentions and all("attn" in name for name in attentions)
    swap(sets, attention, convolution)
    assert recorder.refits[1] and all("conv" in name for name in recorder.refits[1])
    swap(sets, convolution)
    assert recorder.refits[2] == attentions
    swap(sets, convolution)
    assert len(recorder.refits) == 3
    swap(sets, at(convolution, 0.5))
    assert recorder.refits[3] == recorder.refits[1]
    swap(sets)
    assert recorder.refits[4] == recorder.refits[1]


def test_a_swap_that_fails_is_made_good_by_the_next(component: Component, files: list[LoraWeight]) -> None:
    engine = load_engine("onnxruntime", component, SETTINGS)
    base = noise_pred(engine)
    recorder = Recorder(engine)
    sets = LoraSets(recorder, component, map_files(component), 1 << 30)  # type: ignore[arg-type]
    swap(sets, files[0])
    wanted = noise_pred(engine)
    for target, loras in ((wanted, files[:1]), (base, [])):
        recorder.fail = True
        with pytest.raises(RuntimeError):
            swap(sets, files[1])
        recorder.fail = False
        swap(sets, *loras)
        assert np.array_equal(noise_pred(engine), target)


def test_a_set_that_the_engine_is_not_ready_for_is_refused_until_it_is(
    component: Component, files: list[LoraWeight]
) -> None:
    recorder = Recorder(load_engine("onnxruntime", component, SETTINGS))
    sets = LoraSets(recorder, component, map_files(component), 1 << 30)  # type: ignore[arg-type]
    recorder.not_ready = "an engine with that weight open is being built"
    with pytest.raises(FailedPreconditionError, match=r"conv_in\.weight: an engine with that weight open"):
        swap(sets, files[2])
    recorder.not_ready = ""
    swap(sets, files[2])
    assert recorder.refits and "conv_in.weight" in recorder.refits[0]


def test_the_least_recently_used_are_forgotten(component: Component, files: list[LoraWeight]) -> None:
    sets = LoraSets(load_engine("onnxruntime", component, SETTINGS), component, map_files(component), capacity_bytes=1)
    first = swap(sets, files[0])
    swap(sets, files[1])
    with pytest.raises(NotFoundError, match="send loras again"):
        sets.require(first, None)
    swap(sets, files[0])
    sets.require(first, None)


def test_sets_without_bytes_are_forgotten_too(
    component: Component, files: list[LoraWeight], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as fail, for requests that never ask again."""
    monkeypatch.setattr(lora_sets, "_MOST_SETS", 3)
    sets = LoraSets(load_engine("onnxruntime", component, SETTINGS), component, map_files(component), 1 << 30)
    go_on = threading.Event()
    sets._worker.submit(go_on.wait)
    gone = [LoraWeight(files[0].digest, "/gone", number / 10) for number in range(1, 6)]
    for lora in gone:
        with pytest.raises(LoraPreparingError):
            sets.require(lora_key([lora]), encode_lora_set([lora]))
    go_on.set()
    sets._worker.submit(str).result()
    swap(sets, files[0])
    with pytest.raises(LoraLostError):
        sets.require(lora_key(gone[:1]), None)
    with pytest.raises(LoraBrokenError):
        sets.require(lora_key(gone[-1:]), None)


def test_a_step_looks_at_no_array_of_other_sets(
    component: Component, files: list[LoraWeight], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[int] = []

    class Noticed(dict[str, Any]):
        def values(self) -> Any:
            looks.append(len(self))
            return super().values()

    array = np.zeros(100, np.float32)
    sets = LoraSets(load_engine("onnxruntime", component, SETTINGS), component, map_files(component), 700)
    monkeypatch.setattr(sets, "_prepare", lambda key, _: MergedSet(key, Noticed(a=array, b=np.zeros(25, np.float32))))
    chosen = [at(files[0], weight) for weight in (0.1, 0.2, 0.3)]
    keys = [prepared(sets, lora).key for lora in chosen]
    before = len(looks)
    for key in keys * 3:
        sets.require(key, None)
    assert len(looks) == before
    # What they share counts once: 400 bytes for all, and 100 for each.
    prepared(sets, at(files[0], 0.4))
    with pytest.raises(LoraLostError):
        sets.require(keys[0], None)
    for key in keys[1:]:
        sets.require(key, None)


def test_a_set_that_was_forgotten_meanwhile_can_still_be_activated(
    component: Component, files: list[LoraWeight]
) -> None:
    """Two requests of one batch want a set each, and there is room for one."""
    engine = load_engine("onnxruntime", component, SETTINGS)
    sets = LoraSets(engine, component, map_files(component), capacity_bytes=1)
    swap(sets, files[0])
    wanted = noise_pred(engine)
    first = sets.require(lora_key(files[:1]), None)
    swap(sets, files[1])
    with pytest.raises(NotFoundError):
        sets.require(first.key, None)
    sets.activate(first)
    assert np.array_equal(noise_pred(engine), wanted)


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (lambda key, lora: None, NotFoundError),
        (lambda key, lora: b"[{]", InvalidArgumentError),
        (lambda key, lora: b'[{"digest": "a"}]', InvalidArgumentError),
        (lambda key, lora: encode_lora_set([at(lora, 0.3)]), InvalidArgumentError),
    ],
)
def test_what_came_with_a_key_is_checked(
    component: Component,
    files: list[LoraWeight],
    content: Callable[[bytes, LoraWeight], bytes | None],
    error: type[Exception],
) -> None:
    sets = LoraSets(load_engine("onnxruntime", component, SETTINGS), component, map_files(component), 1 << 30)
    key = lora_key(files[:1])
    with pytest.raises(error):
        sets.require(key, content(key, files[0]))
    swap(sets, files[0])


def test_a_file_that_is_gone_or_changed_is_named_and_tried_again(
    component: Component, files: list[LoraWeight], tmp_path: Path
) -> None:
    sets = LoraSets(load_engine("onnxruntime", component, SETTINGS), component, map_files(component), 1 << 30)
    path = tmp_path / "later.safetensors"
    lora = LoraWeight(files[0].digest, str(path), 1.0)
    with pytest.raises(LoraBrokenError, match=f"{path} cannot be read: No such file") as caught:
        swap(sets, lora)
    assert caught.value.metadata == {"digest": lora.digest}
    path.write_bytes(Path(files[0].path).read_bytes())
    swap(sets, lora)
    path.write_bytes(Path(files[3].path).read_bytes())  # as large, and of the same modules
    with pytest.raises(LoraBrokenError, match=f"{path} is not what its digest says"):
        swap(sets, at(lora, 0.5))
    swap(sets, lora)  # which is held


def test_what_was_merged_before_a_failure_is_not_kept(
    component: Component, files: list[LoraWeight], monkeypatch: pytest.MonkeyPatch
) -> None:
    merged: list[weakref.ref[Any]] = []

    def merge(base: Any, *_: Any) -> Any:
        if merged:
            raise LoraInvalidError("its numbers are not finite")
        array = base.copy()
        merged.append(weakref.ref(array))
        return array

    monkeypatch.setattr(lora_sets, "merge", merge)
    with ThreadPoolExecutor(1) as worker:
        sets = LoraSets(load_engine("onnxruntime", component, SETTINGS), component, map_files(component), 1 << 30)
        failed = worker.submit(sets._prepared, lora_key(files[:1]), files[:1])
    gc.collect()
    assert isinstance(failed.exception(), LoraInvalidError) and [ref() for ref in merged] == [None]

"""What weights that stay in half precision cost every step: the engine as shipped against one that widened them all.

Both take the same graph and the same file. The other side holds every weight as float32 in memory of its own; a step
then widens nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import onnxruntime

from benchmarks.processes import read_memory
from benchmarks.report import print_judgement, print_seconds
from benchmarks.setting import Setting
from benchmarks.turns import counting_work, ratio_by_round, take_turns
from benchmarks.unet_steps import UnetSteps
from triptych.engine import Engine, load_engine
from triptych.engine.cache.artifacts import ensure_graph
from triptych.engine.onnxruntime.engine import OnnxRuntimeEngine, open_graph, open_session, session_options
from triptych.engine.onnxruntime.exchange import free_weights
from triptych.engine.weights import float32_weights

TARGET_RATIO = 1.10
_HALVES, _WIDENED = "halves in the file", "widened at load"


def run(setting: Setting) -> bool:
    """Prints the table; whether the target is met."""
    unet = UnetSteps.of(setting)
    shipped, shipped_megabytes = _grown(lambda: load_engine("onnxruntime", unet.component, unet.settings), unet)
    widened, widened_megabytes = _grown(lambda: _widened_engine(unet), unet)
    worked: dict[str, list[float]] = {_HALVES: [], _WIDENED: []}
    sides = {
        _HALVES: counting_work(lambda _round: unet.seconds(shipped), worked[_HALVES]),
        _WIDENED: counting_work(lambda _round: unet.seconds(widened), worked[_WIDENED]),
    }
    seconds = take_turns(sides, setting.rounds)
    print(f"one step of two samples, {setting.describe()}")
    print(f"anonymous memory after a step: {shipped_megabytes:.0f} MB, {widened_megabytes:.0f} MB")
    ours, theirs = (engine.infer(unet.inputs)["noise_pred"].astype(np.float32) for engine in (shipped, widened))
    print(f"greatest difference of the two predictions: {np.abs(ours - theirs).max():g}")
    print_seconds(seconds)
    print(f"ratio of the processor seconds: {ratio_by_round(worked[_HALVES], worked[_WIDENED]):.3f}")
    ratio = ratio_by_round(seconds[_HALVES], seconds[_WIDENED])
    return print_judgement("median of the rounds' ratios", ratio, TARGET_RATIO)


def _grown(load: Callable[[], Engine], unet: UnetSteps) -> tuple[Engine, float]:
    """The engine after its first step, and the anonymous memory in MB that both took."""
    before = read_memory(os.getpid()).anonymous
    engine = load()
    unet.seconds(engine)
    return engine, read_memory(os.getpid()).anonymous - before


def _widened_engine(unet: UnetSteps) -> Engine:
    graph = open_graph(unet.component, ensure_graph(unet.component.architecture, unet.settings.cache_dir))
    arrays = float32_weights(unet.component, free_weights(graph))
    base = {name: onnxruntime.OrtValue.ortvalue_from_numpy(array) for name, array in arrays}
    options = session_options(unet.settings.threads, constant_weights=False, spin=True)
    return OnnxRuntimeEngine(open_session(graph, unet.component, options), unet.component, unet.settings, {}, base)

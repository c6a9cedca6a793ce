"""A plain engine's steps beside a refittable one's: how they are measured, and what is kept of that."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from triptych.engine.tensorrt import plain
from triptych.engine.tensorrt.build.plan import RefitPlan
from triptych.engine.tensorrt.plain import Comparison, compare, note_comparison, read_comparison
from triptych.engine.tensorrt.run.shape import CAPTURE_AFTER_RUNS

USUAL, WIDER = RefitPlan.USUAL, RefitPlan.PER_CHECKPOINT


class Clock:
    now_s = 0.0


class Session:
    """Takes long while its graph is not captured, and now and then when something else has the GPU."""

    def __init__(self, clock: Clock, step_s: float, lock: threading.Lock, runs: list[float]) -> None:
        self.clock, self.step_s, self.lock, self.runs = clock, step_s, lock, runs

    def run(self, _inputs: Any) -> None:
        assert self.lock.locked()
        self.runs.append(self.step_s)
        self.clock.now_s += 1.0 if len(self.runs) <= 2 * CAPTURE_AFTER_RUNS or len(self.runs) % 7 == 0 else self.step_s


def test_both_are_run_in_turns_and_others_are_let_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, lock, runs = Clock(), threading.Lock(), list[float]()
    between: list[bool] = []
    monkeypatch.setattr(plain, "perf_counter", lambda: clock.now_s)
    monkeypatch.setattr(plain, "sleep", lambda _seconds: between.append(lock.locked()))
    sessions: list[Any] = [Session(clock, step_s, lock, runs) for step_s in (0.010, 0.017)]
    measured = compare(sessions[0], sessions[1], {}, lock)
    assert (measured.plain_s, measured.refittable_s) == pytest.approx((0.010, 0.017))
    assert runs == [0.010, 0.017] * (len(runs) // 2) and between == [False] * (len(runs) // 2)


@pytest.mark.parametrize(("plain_s", "quicker"), [(0.010, True), (0.016, True), (0.0165, False), (0.02, False)])
def test_what_is_worth_a_second_engine(plain_s: float, quicker: bool) -> None:
    assert Comparison(plain_s, 0.017).plain_is_quicker is quicker


def test_what_was_noted_is_read_for_the_same_engines_alone(tmp_path: Path) -> None:
    noted = Comparison(0.010, 0.017)
    note_comparison(tmp_path, "unet-1", USUAL, noted)
    assert read_comparison(tmp_path, "unet-1", USUAL) == noted
    assert read_comparison(tmp_path, "unet-1", WIDER) is read_comparison(tmp_path, "unet-2", USUAL) is None
    (path,) = tmp_path.iterdir()
    for odd in ("[1", "[]", "{}", json.dumps({"plain_s": "soon", "refittable_s": 1})):
        path.write_text(odd)
        assert read_comparison(tmp_path, "unet-1", USUAL) is None
    note_comparison(tmp_path / "gone", "unet-1", USUAL, noted)  # nothing can be kept there, and nothing is said
    assert not (tmp_path / "gone").exists()

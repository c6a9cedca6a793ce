"""What each residual of a ControlNet, and each feature of a T2I-Adapter, is multiplied by, and in which steps."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from triptych import demo
from triptych.checkpoint import Checkpoint
from triptych.contract.controls import ControlNet
from triptych_orchestrator.jobs.asked import Asked
from triptych_orchestrator.jobs.validation import check
from triptych_orchestrator.pipeline.controlling import Controlling, Net, controlling
from triptych_orchestrator.pipeline.plan import PassControl, plan_of
from triptych_orchestrator.sampling.schedulers import make_solver
from triptych_orchestrator.settings import Limits

RESIDUALS = 13
NETS = {
    "net": Net(ControlNet("/net"), RESIDUALS),
    "pooling": Net(ControlNet("/pooling"), RESIDUALS, pools=True),
    "adapter": Net(ControlNet("/adapter"), 4, is_adapter=True),
    "light": Net(ControlNet("/light"), 5, is_adapter=True),
}


def controlled(*controls: tuple[str, str], end: float = 1.0, **asked: Any) -> Controlling:
    """Names and control modes."""
    checkpoint = Checkpoint.open(demo.checkpoint_path())
    job = check(Asked("a", "demo", "a fox", num_inference_steps=4), checkpoint, Limits())
    under = tuple(PassControl(name, b"", 2.0, 0.0, end, mode) for name, mode in controls)
    one = replace(plan_of(job)[0], controls=under)
    solver = make_solver(job.scheduler, checkpoint.scheduler_config, 4)
    return controlling(replace(job, **asked), one, NETS, solver, RESIDUALS)


def scales(made: Controlling, *, is_negative: bool = False) -> list[list[float]]:
    """Of the first step."""
    return [each.scales.astype(float).round(4).tolist() for each in made.at(0, is_negative=is_negative)]


@pytest.mark.parametrize(("name", "mode", "expected"), [
    ("adapter", "balanced", [2.0] * 4),
    ("adapter", "prompt", [0.5, 1.24, 1.65, 2.0]),
    ("light", "prompt", [0.5, 1.24, 1.65, 2.0, 2.0]),
    ("net", "balanced", [2.0] * RESIDUALS),
    ("net", "prompt", [2 * 0.825**exponent for exponent in range(RESIDUALS - 1, -1, -1)]),
])  # fmt: skip
def test_whose_word_counts_more(name: str, mode: str, expected: list[float]) -> None:
    padded = [*expected, *[0.0] * (RESIDUALS - len(expected))]
    (found,) = scales(controlled((name, mode)))
    np.testing.assert_allclose(found, padded, atol=1e-4)


def test_control_leaves_the_negative_prompt_alone() -> None:
    for name in ("net", "adapter"):
        made = controlled((name, "control"))
        assert scales(made) and not scales(made, is_negative=True)


def test_an_adapter_does_not_guess_where_a_control_net_does() -> None:
    made = controlled(("pooling", "balanced"), ("adapter", "balanced"))
    assert len(scales(made)) == 2
    assert scales(made, is_negative=True) == [[2.0] * 4 + [0.0] * (RESIDUALS - 4)]


def test_each_has_a_window() -> None:
    made = controlled(("adapter", "balanced"), end=0.5)
    assert [len(made.at(index, is_negative=False)) for index in range(4)] == [1, 1, 0, 0]

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from triptych_orchestrator.sampling import loop
from triptych_orchestrator.sampling.schedulers import make_solver


async def test_a_step_took_what_it_took_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not what was done with its state before the next was asked for: previews decoded, events read."""
    now_s = 0.0
    monkeypatch.setattr(loop.time, "monotonic", lambda: now_s)

    async def denoise(latents: loop.Latents, timestep: float, index: int) -> loop.Latents:
        nonlocal now_s
        now_s += 2.0
        return latents

    solver: Any = make_solver("ddim", {}, 3)
    seconds = []
    async for state in loop.sample(solver, np.ones((1, 4, 2, 2), np.float32), denoise, lambda: np.zeros(1, np.float32)):
        seconds.append(state.seconds)
        now_s += 100.0
    assert seconds == [2.0] * 3

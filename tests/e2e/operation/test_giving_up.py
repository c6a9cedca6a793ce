"""Loads that are given up at any moment, many at once, against a real Triton: it is the same process afterwards."""

from __future__ import annotations

import asyncio
import contextlib
import random

import pytest

from tests.conftest import Served
from triptych.contract import ENCODER
from triptych_orchestrator.stages import triton
from triptych_orchestrator.stages.replica import PlacedModel, Replica
from triptych_orchestrator.stages.triton import TritonServer

MODELS, ROUNDS, PATIENCE_S = 6, 10, 0.6
LOAD_TIMEOUT_S = 120
# They load in a moment, so that many loads meet their end.
EMPTY = "class TritonPythonModel:\n    def execute(self, requests): ...\n"
NEVER = "class TritonPythonModel:\n    def initialize(self, args): raise RuntimeError\n"


@pytest.mark.slow
async def test_a_server_outlives_loads_given_up_at_any_moment(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triton, "model_shim", lambda spec: EMPTY)
    monkeypatch.setattr(triton, "stop_shim", lambda: NEVER)
    (stage,) = (process for process in served.stack.processes() if process.name.startswith("encoder"))
    server = TritonServer(stage.address)
    replica = Replica("encoder", "encoder", server, LOAD_TIMEOUT_S)
    replica.mark(ready=True)
    draw = random.Random(3)

    async def give_up_again_and_again(model: PlacedModel) -> None:
        for _ in range(ROUNDS):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(draw.uniform(0, PATIENCE_S)):
                    await replica.ensure(model)
            await replica.drop(model)

    models = [PlacedModel(f"given-up-{index}.encoder", ENCODER, {}) for index in range(MODELS)]
    await asyncio.gather(*map(give_up_again_and_again, models))
    assert not replica.held
    assert not any([await server.is_model_ready(model.name) for model in models])
    await server.close()
    assert stage.pid == next(process.pid for process in served.stack.processes() if process.name == stage.name)

"""What the VAE's replicas take is asked once for each size, before any step."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from tests.orchestrator.stages.test_pool import Server
from triptych.contract import VAE_DECODER
from triptych.contract.wrapping import AXES
from triptych.errors import InvalidArgumentError
from triptych_orchestrator.pipeline.size_checks import SizeChecks
from triptych_orchestrator.settings import Settings
from triptych_orchestrator.stages import pool as module
from triptych_orchestrator.stages.pool import PlacedModel, ReplicaPool
from triptych_orchestrator.stages.triton import Tensors

pytestmark = pytest.mark.fast_clock

MODEL = PlacedModel("x.vae_decoder", VAE_DECODER, {"checkpoint": "/x", "engine": "tensorrt"})


class Narrow(Server):
    """Takes latents of at most 96x96, and notes whether what was asked about is to tile."""

    axes: ClassVar[list[int]] = []

    async def infer(self, name: str, spec: object, tensors: object, request_id: str, timeout_s: float) -> Tensors:
        assert isinstance(tensors, Mapping) and "size_check" in tensors
        self.axes.append(int(tensors["wrapping"][0, 0]) if "wrapping" in tensors else 0)
        answer = await super().infer(name, spec, tensors, request_id, timeout_s)
        if np.shape(tensors["latents"])[-1] > 96:
            raise InvalidArgumentError("size: the engine was not built for that")
        return answer


@pytest.fixture
async def pool(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[ReplicaPool]:
    monkeypatch.setattr(module, "TritonServer", Narrow)
    settings = Settings("127.0.0.1:0", None, {"vae": ("a", "b")}, tmp_path)
    pool = ReplicaPool(settings)
    await pool.start()
    await pool.wait_ready("vae")
    await pool.place(MODEL)
    yield pool
    await pool.stop()


def calls(pool: ReplicaPool) -> list[int]:
    servers: list[Any] = [replica.server for replica in pool.replicas]
    return [server.calls for server in servers]


async def test_every_replica_is_asked_once(pool: ReplicaPool) -> None:
    checks = SizeChecks(pool, 5.0)
    for _ in range(3):
        await checks.require(MODEL, (4, 64, 64), "r")
    assert calls(pool) == [1, 1]
    await checks.require(MODEL, (4, 64, 96), "r")
    assert calls(pool) == [2, 2]


async def test_what_one_does_not_take_is_refused_each_time(pool: ReplicaPool) -> None:
    checks = SizeChecks(pool, 5.0)
    for _ in range(2):
        with pytest.raises(InvalidArgumentError, match="not built"):
            await checks.require(MODEL, (4, 128, 128), "r")
    assert sum(calls(pool)) == 2


async def test_a_model_that_comes_back_is_asked_anew(pool: ReplicaPool) -> None:
    checks = SizeChecks(pool, 5.0)
    await checks.require(MODEL, (4, 64, 64), "r")
    await pool.withdraw(MODEL)
    await pool.place(MODEL)
    await checks.require(MODEL, (4, 64, 64), "r")
    assert calls(pool) == [2, 2]


async def test_pictures_that_tile_are_asked_about_by_themselves(pool: ReplicaPool) -> None:
    checks = SizeChecks(pool, 5.0)
    Narrow.axes.clear()
    for axes in ("", "xy", "", "xy", "x"):
        await checks.require(MODEL, (4, 64, 64), "r", axes)
    assert Narrow.axes == [0, 0, *[AXES.index("xy")] * 2, *[AXES.index("x")] * 2]

"""Steps whose conditionings differ in length, beside each other on a real UNet: no prompt makes them yet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import numpy as np

from tests.conftest import Served
from triptych.contract import UNET
from triptych_orchestrator.batching.batcher import Ticket
from triptych_orchestrator.batching.seats import Batchers
from triptych_orchestrator.pipeline.denoiser import Denoiser
from triptych_orchestrator.pipeline.guiding import guidance_of
from triptych_orchestrator.settings import Settings
from triptych_orchestrator.stages.conditioning import Conditioning
from triptych_orchestrator.stages.lora_sets import LoraSet
from triptych_orchestrator.stages.pool import PlacedModel, ReplicaPool

STEPS = 12
RANDOM = np.random.default_rng(0)
LATENTS = RANDOM.normal(size=(1, 4, 8, 8)).astype(np.float32)
SHORT, LONG, OTHER = (RANDOM.normal(size=(tokens, 32)).astype(np.float32) for tokens in (77, 154, 77))


@asynccontextmanager
async def placed(served: Served, checkpoint: Path) -> AsyncIterator[tuple[ReplicaPool, PlacedModel]]:
    """A UNet of the test's own on the session's server."""
    (address,) = (one.address for one in served.client.server_info().replicas if one.stage == "unet")
    pool = ReplicaPool(Settings("", None, {"unet": (address,)}, Path("/nowhere")))
    parameters = {"checkpoint": str(checkpoint), "engine": "onnxruntime"}
    model = PlacedModel("unlike-tokens.unet", UNET, parameters)
    await pool.start()
    try:
        await pool.place(model)
        yield pool, model
        await pool.withdraw(model)
    finally:
        await pool.stop()


async def test_they_share_a_server_and_no_batch(served: Served, checkpoints: dict[str, Path]) -> None:
    async with placed(served, checkpoints["sd1"]) as (pool, model):
        batchers = Batchers(60.0, 16)

        async def loop(*states: np.ndarray) -> tuple[list[np.ndarray], list[int]]:
            conditionings = [Conditioning.of(encoder_hidden_states=each) for each in states]
            guidance = guidance_of(conditionings, 3.0)
            denoise = Denoiser(pool, batchers, model, guidance, LoraSet.of(()), Ticket("r"))
            predictions, sizes = [], []
            with closing(denoise):
                for step in range(STEPS):
                    predictions.append(await denoise(LATENTS, 900.0 - step))
                    sizes.append(denoise.use.batch_samples)
            return predictions, sizes

        requests = [(SHORT, SHORT), (OTHER, SHORT), (LONG, LONG), (SHORT, LONG)]
        alone = [await loop(*states) for states in requests]
        together = await asyncio.gather(*(loop(*states) for states in requests))
        for (ours, _), (theirs, _) in zip(together, alone, strict=True):
            assert max(np.abs(a - b).max() for a, b in zip(ours, theirs, strict=True)) < 1e-4
        # Those of one length find each other all the same, and of each length there are so many samples.
        assert [max(sizes) for _, sizes in alone] == [2, 2, 2, 1]
        assert all(4 <= max(sizes) <= 5 for _, sizes in together[:2]) and max(together[2][1]) <= 3
        assert batchers.idle

"""What is asked of a UNet whose files do not tell what it predicts, of one that edits pictures too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import tiny
from triptych.checkpoint import Checkpoint
from triptych.checkpoint.sources.prediction import EPSILON, VELOCITY
from triptych.contract import UNET
from triptych_orchestrator.library.predicting import evaluated
from triptych_orchestrator.stages.pool import PlacedModel
from triptych_orchestrator.stages.triton import Tensors
from triptych_unet.conditioning import ConditioningStore
from triptych_unet.model import UNetModel


class Pool:
    """One replica whose UNet answers with one number everywhere, to what its stage takes."""

    def __init__(self, checkpoint: Checkpoint, answer: float) -> None:
        self._stage, self._answer = UNetModel(), answer
        self._stage.store, self._stage.component = ConditioningStore(10_000, 60), checkpoint.components[UNET.name]
        self.taken: list[tuple[int, ...]] = []

    async def run(self, model: PlacedModel, work: Any) -> tuple[Tensors, None]:
        return await work(self), None

    async def infer(self, model: PlacedModel, tensors: Tensors, request_id: str, timeout_s: float) -> Tensors:
        latents = self._stage.prepare(tensors)["latents"]
        self.taken.append(latents.shape)
        return {"noise_pred": np.full_like(latents[:, :4], self._answer)}


@pytest.mark.parametrize(
    ("channels", "answer", "prediction"), [(4, -3.0, VELOCITY), (8, 0.5, EPSILON), (9, -3.0, VELOCITY)]
)
async def test_one_evaluation_tells_whatever_the_unet_sees_besides(
    checkpoints: dict[str, Path], tmp_path: Path, channels: int, answer: float, prediction: str
) -> None:
    path = tiny.save_editing_checkpoint(tmp_path / "x", checkpoints["sd2"], "StableDiffusionPipeline", channels)
    checkpoint = Checkpoint.open(path)
    pool = Pool(checkpoint, answer)
    found = await evaluated(pool, PlacedModel("x.unet", UNET, {}), checkpoint, 5.0)  # type: ignore[arg-type]
    assert found.type == prediction and pool.taken == [(1, channels, 8, 8)]

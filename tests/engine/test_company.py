"""A sample's bits do not depend on its company: batches of 1 to 8, in both orders, with ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.conftest import CACHE
from tests.engine.test_engines import inputs_of
from triptych.checkpoint import Checkpoint
from triptych.contract import ENCODER, UNET, VAE_DECODER, VAE_ENCODER
from triptych.engine import EngineSettings, load_engine


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("model", [ENCODER.name, UNET.name, VAE_DECODER.name, VAE_ENCODER.name])
def test_samples_are_the_same_alone_and_in_company(checkpoints: dict[str, Path], model: str, threads: int) -> None:
    checkpoint = Checkpoint.open(checkpoints["sd1"])
    engine = load_engine("onnxruntime", checkpoint.components[model], EngineSettings(threads, CACHE))
    for height, width in ((8, 8), (9, 13)):
        inputs = inputs_of(model, checkpoint, 8, height, width)
        alone = [engine.infer({name: array[row : row + 1] for name, array in inputs.items()}) for row in range(8)]
        for count in range(1, 9):
            for order in (list(range(count)), list(reversed(range(count)))):
                together = engine.infer({name: array[order] for name, array in inputs.items()})
                for name, array in together.items():
                    assert np.array_equal(array, np.concatenate([alone[row][name] for row in order]))

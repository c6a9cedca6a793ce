"""What a UNet that edits pictures is shown: once, kept under the conditioning's key, and zeros where it sees none."""

from __future__ import annotations

import numpy as np
import pytest

from tests.orchestrator.pipeline.test_denoiser import LATENTS, MODEL, STATES, Pool, Recorder
from triptych_orchestrator.batching.batcher import Ticket
from triptych_orchestrator.batching.seats import Batchers
from triptych_orchestrator.pipeline.denoiser import Denoiser
from triptych_orchestrator.pipeline.guiding import Guided
from triptych_orchestrator.sampling.guidance import combine
from triptych_orchestrator.stages.conditioning import Conditioning
from triptych_orchestrator.stages.lora_sets import LoraSet
from triptych_orchestrator.stages.pool import PlacedModel
from triptych_orchestrator.stages.triton import Tensors

pytestmark = pytest.mark.fast_clock

PICTURES = np.random.default_rng(2).normal(size=(2, 4, 8, 8)).astype(np.float32)
WEIGHTS = (-0.5, -6.0, 7.5)


class Seeing(Recorder):
    """One whose predictions tell what lies beside the latents."""

    def __init__(self, name: str = "unet-0") -> None:
        super().__init__(name)
        self.seen: dict[bytes, np.ndarray] = {}

    async def infer(self, model: PlacedModel, tensors: Tensors, request_id: str, timeout_s: float) -> Tensors:
        keys = [key.tobytes() for key in tensors["conditioning_key"]]
        self.seen |= dict(zip(keys, tensors.get("image_latents", []), strict=False))
        outputs = await super().infer(model, tensors, request_id, timeout_s)
        return {**outputs, "noise_pred": outputs["noise_pred"] + np.stack([self.seen[key] for key in keys])}


def denoiser(pool: Pool, batchers: Batchers) -> Denoiser:
    negative, prompt = (Conditioning.of(encoder_hidden_states=states) for states in STATES[:2])
    conditionings = ((negative, False), (negative, True), (prompt, True))
    guidance = [
        Guided(conditioning, weight, sees) for (conditioning, sees), weight in zip(conditionings, WEIGHTS, strict=True)
    ]
    return Denoiser(pool, batchers, MODEL, guidance, LoraSet.of(()), Ticket("r"))  # type: ignore[arg-type]


def expected(pictures: np.ndarray) -> np.ndarray:
    negative, prompt = (LATENTS * np.float32(float(states.mean())) for states in STATES[:2])
    return combine([negative, negative + pictures, prompt + pictures], WEIGHTS)


@pytest.mark.parametrize("pictures", [PICTURES, PICTURES[:1]], ids=["one for each", "one for all"])
@pytest.mark.parametrize("replicas", [1, 2, 3])
async def test_what_is_shown_travels_once_to_each_replica(replicas: int, pictures: np.ndarray) -> None:
    recorders, batchers = [Seeing(f"unet-{index}") for index in range(replicas)], Batchers(5.0)
    denoise = denoiser(Pool(*recorders), batchers)
    denoise.show(pictures)
    for timestep in (900.0, 500.0, 100.0):
        assert np.array_equal(await denoise(LATENTS, timestep), expected(pictures))
    for recorder in recorders:
        assert ["image_latents" in sent for sent in recorder.sent] == [True, False, False]
    denoise.close()
    assert batchers.idle


async def test_what_was_lost_is_shown_again() -> None:
    replica = Seeing()
    denoise = denoiser(Pool(replica), Batchers(5.0))
    denoise.show(PICTURES)
    await denoise(LATENTS, 900.0)
    replica.kept.clear()
    assert np.array_equal(await denoise(LATENTS, 500.0), expected(PICTURES))
    assert ["image_latents" in sent for sent in replica.sent] == [True, False, True]
    denoise.close()


async def test_a_prompt_is_kept_once_for_each_picture() -> None:
    prompt = Guided(Conditioning.of(encoder_hidden_states=STATES[0]), 1.0)
    first, second = prompt.seeing(PICTURES)
    (blind,) = prompt._replace(sees=False).seeing(PICTURES)
    assert len({each.key.tobytes() for each in (prompt.conditioning, first, second, blind)}) == 4
    assert first.key.tobytes() == prompt.seeing(PICTURES[:1])[0].key.tobytes()

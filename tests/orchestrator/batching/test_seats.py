from __future__ import annotations

from typing import Any

from triptych.contract import UNET
from triptych_orchestrator.batching.seats import Batchers
from triptych_orchestrator.batching.signature import Extent, Signature
from triptych_orchestrator.stages.pool import PlacedModel
from triptych_orchestrator.stages.replica import Load

MODEL = PlacedModel("x.unet", UNET, {"engine": ""})
EXTENTS = (Extent("latents", "<f4", (4, 8, 8)),)


class At:
    """A replica with a model loaded."""

    def __init__(self) -> None:
        self.held = {MODEL.name: Load(MODEL)}


def learn_a_cap_of_one(batchers: Batchers, replica: Any) -> None:
    profile = batchers.of(replica, MODEL).profile
    for samples, seconds in ((1, 1.0), (2, 9.0)) * 4:
        profile.observe(EXTENTS, samples, seconds)
    assert profile.cap(EXTENTS) == 1


def test_what_was_learned_is_of_one_load() -> None:
    """A server that restarts may have its own choice of engine, or its device, changed, and nobody says so."""
    replica: Any = At()
    batchers = Batchers(5.0)
    learn_a_cap_of_one(batchers, replica)
    batcher = batchers.of(replica, MODEL)
    batcher.join(Signature(EXTENTS, bytes(16)))
    replica.held[MODEL.name] = Load(MODEL)
    assert batchers.of(replica, MODEL).profile.cap(EXTENTS) == UNET.max_batch_size
    # The loops are where they were.
    assert batchers.of(replica, MODEL) is batcher and not batchers.idle
    learn_a_cap_of_one(batchers, replica)
    assert batchers.of(replica, MODEL).profile.cap(EXTENTS) == 1


def test_what_was_learned_goes_with_the_model() -> None:
    replica: Any = At()
    batchers = Batchers(5.0)
    learn_a_cap_of_one(batchers, replica)
    batchers.forget(MODEL.name)
    assert not batchers.profiles(replica)
    assert batchers.of(replica, MODEL).profile.cap(EXTENTS) == UNET.max_batch_size

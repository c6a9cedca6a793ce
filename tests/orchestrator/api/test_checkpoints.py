"""What the services answer of what the server knows."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from triptych.errors import InvalidArgumentError
from triptych.v1.checkpoints_pb2 import (
    ListCheckpointsRequest,
    RegisterCheckpointRequest,
    UnloadCheckpointRequest,
    UnregisterCheckpointRequest,
)
from triptych_orchestrator.api.checkpoints import CheckpointService
from triptych_orchestrator.library.entry import Entry, State


async def test_a_list_can_be_sent_whatever_a_checkpoint_is_called_and_says() -> None:
    entries = [
        Entry("broken", Path("/models/\udcff\x1b"), "", state=State.FAILED, error="tensor \ud800 is missing"),
        Entry("verbose", Path("/" + "x" * 100_000), "", state=State.FAILED, error="act_fn is " + "x" * 9_000_000),
    ]
    catalog = cast(Any, SimpleNamespace(entries=lambda: entries))
    answer = await CheckpointService(catalog).ListCheckpoints(ListCheckpointsRequest(), cast(Any, None))
    broken, verbose = answer.checkpoints
    assert (broken.path, broken.error) == (r"/models/\udcff\x1b", r"tensor \ud800 is missing")
    assert verbose.error.startswith("act_fn is xxx") and answer.ByteSize() < 6_000


async def test_what_a_registration_leaves_open_is_told_from_what_is_empty() -> None:
    asked = []

    async def register(name: str, path: Path, *choices: str | None, load: bool, **more: str | None) -> Entry:
        asked.append((*choices, more["variant"], more["vae"]))
        return Entry(name, path, "")

    service = CheckpointService(cast(Any, SimpleNamespace(register=register)))
    for given in ({}, dict.fromkeys(("engine", "prediction_type", "variant", "vae"), "")):
        await service.RegisterCheckpoint(RegisterCheckpointRequest(name="x", path="/x", **given), cast(Any, None))
    assert asked == [(None,) * 4, ("",) * 4]


async def test_an_empty_message_takes_nothing_away() -> None:
    """An empty name means the only checkpoint, where that is harmless."""
    service = CheckpointService(cast(Any, SimpleNamespace(unregister=None, unload=None)))
    with pytest.raises(InvalidArgumentError, match="name: is empty"):
        await service.UnregisterCheckpoint(UnregisterCheckpointRequest(), cast(Any, None))
    with pytest.raises(InvalidArgumentError, match="name: is empty"):
        await service.UnloadCheckpoint(UnloadCheckpointRequest(), cast(Any, None))

"""Pictures that tile, through the real servers; that they are diffusers' is tests/parity's to show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from tests.conftest import Served
from tests.e2e.serving import SIZE, at_once, difference
from triptych.errors import InvalidArgumentError

REQUEST: dict[str, Any] = {"prompt": "a red circle", "num_inference_steps": 4, "seed": 3, **SIZE}


@pytest.mark.parametrize(
    ("checkpoint", "kinds"), [("sd1", (None, True, "x", "y", None)), ("sd1-torch", (None, True))], ids=["sd1", "torch"]
)
def test_one_model_serves_pictures_that_tile_and_others(served: Served, checkpoint: str, kinds: Sequence[Any]) -> None:
    requests = [REQUEST | {"checkpoint": checkpoint, "tiling": axes} for axes in kinds]
    alone = [served.client.generate(**request) for request in requests]
    assert min(difference(one, other) for one in alone[:4] for other in alone[:4] if one is not other) > 5
    for (_, ours), theirs in zip(at_once(served.client, requests), alone, strict=True):
        assert difference(ours, theirs) <= (0 if checkpoint == "sd1" else 1)
    sizes = [size for replica in served.client.server_info().replicas for size in replica.batch_sizes]
    assert {size.tiling for size in sizes if size.model == f"{checkpoint}.unet"} >= {"", "xy"}
    for told, one in zip(("True", "x", "y"), alone[1:4], strict=False):
        assert f"Tiling: {told}," in f"{one.images[0].info['parameters']},"


def test_other_axes_are_refused(served: Served) -> None:
    for wrong in ("z", "yx", "true"):
        with pytest.raises(InvalidArgumentError) as caught:
            served.client.generate(**REQUEST, checkpoint="sd1", tiling=wrong)
        assert caught.value.metadata["field"] == "tiling"

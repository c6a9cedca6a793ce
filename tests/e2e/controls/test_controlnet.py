"""ControlNets through the real servers; that the pictures are diffusers', tests/parity shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import tiny
from tests.conftest import CACHE, Served
from tests.e2e.serving import difference
from tests.parity.oracle import drawn
from tests.session.graphs import fill_cache
from triptych import Control

REQUEST: dict[str, Any] = {
    "prompt": "a red circle", "checkpoint": "sd1", "num_inference_steps": 4, "seed": 3, "width": 64, "height": 64,
    "scheduler": "ddim",
}  # fmt: skip
EDGES = drawn((64, 64), 0)
OTHER_EDGES = drawn((80, 64), 1)


@pytest.fixture(scope="module")
def nets(
    served: Served, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Path]]:
    """Two for SD 1.x and one for SD XL, registered by these names."""
    root = tmp_path_factory.mktemp("controlnets")
    paths = {
        "canny": tiny.save_controlnet(root / "canny", checkpoints["sd1"]),
        "depth": tiny.save_controlnet(root / "depth", checkpoints["sd1"], seed=12),
        "canny-xl": tiny.save_controlnet(root / "canny-xl", checkpoints["sdxl"]),
    }
    fill_cache(CACHE, paths.values())
    for name, path in paths.items():
        assert served.client.register_checkpoint(name, path).family == "controlnet"
    yield paths
    for name in paths:
        served.client.unregister_checkpoint(name)


def made(served: Served, *controls: Control, **more: Any) -> Any:
    return served.client.generate(**REQUEST | more, controls=list(controls))


def test_picture_scale_and_each_control_tell(served: Served, nets: dict[str, Path]) -> None:
    first = made(served, Control("canny", EDGES))
    others = [
        made(served),
        made(served, Control("canny", OTHER_EDGES)),
        made(served, Control("canny", EDGES, conditioning_scale=0.5)),
        made(served, Control("depth", EDGES)),
        made(served, Control("canny", EDGES), Control("depth", EDGES)),
        made(served, Control("canny", EDGES, control_mode="prompt")),
        made(served, Control("canny", EDGES, control_mode="control")),
        made(served, Control("canny", EDGES), guess_mode=True),
    ]
    assert all(difference(first, other) > 3 for other in others)
    assert difference(first, made(served, Control("canny", EDGES))) == 0

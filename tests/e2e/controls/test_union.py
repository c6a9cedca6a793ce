"""Union ControlNets through the real servers; that the pictures are diffusers', tests/parity shows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import tiny
from tests.conftest import CACHE, Served
from tests.e2e.serving import difference, meeting
from tests.parity.oracle import drawn
from tests.session.graphs import fill_cache
from triptych import Control
from triptych.errors import InvalidArgumentError

REQUEST: dict[str, Any] = {
    "prompt": "a red circle", "checkpoint": "sdxl", "num_inference_steps": 4, "seed": 3, "width": 64, "height": 64,
}  # fmt: skip
EDGES, DEPTH = drawn((64, 64), 0), drawn((80, 64), 1)
TYPES = ["openpose", "depth", "softedge", "canny", "normal", "segment", "tile", "repaint"]


@pytest.fixture(scope="module")
def nets(served: Served, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A union and a plain one, registered by these names."""
    root = tmp_path_factory.mktemp("controlnets")
    paths = {
        "union": tiny.save_union_controlnet(root / "union", checkpoints["sdxl"]),
        "canny-xl": tiny.save_controlnet(root / "canny-xl", checkpoints["sdxl"]),
    }
    fill_cache(CACHE, paths.values())
    told = {name: served.client.register_checkpoint(name, path) for name, path in paths.items()}
    assert (told["union"].union_types, told["canny-xl"].union_types) == (TYPES, [])
    assert {one.purpose for one in told.values()} == {"controlling"}
    yield
    for name in paths:
        served.client.unregister_checkpoint(name)


def made(served: Served, *controls: Control, **more: Any) -> Any:
    return served.client.generate(**REQUEST | more, controls=list(controls))


def union(kind: str, image: Any = EDGES, **more: Any) -> Control:
    return Control("union", image, union_type=kind, **more)


def test_the_type_tells_by_any_of_its_names(served: Served, nets: None) -> None:
    first = made(served, union("canny"))
    assert difference(first, made(served, union("Hard Edge"))) == difference(first, made(served, union("3"))) == 0
    for other in (
        made(served),
        made(served, union("depth")),
        made(served, union("canny", conditioning_scale=0.3)),
        made(served, union("canny"), union("depth", DEPTH)),
        made(served, union("canny"), Control("canny-xl", EDGES)),
    ):
        assert difference(first, other) > 0


def test_what_does_not_count_costs_nothing(served: Served, nets: None) -> None:
    plain, off = made(served), {"conditioning_scale": 0.0}
    assert difference(plain, made(served, union("canny", **off), union("depth", DEPTH, **off))) == 0


def test_requests_of_unlike_types_share_batches_and_change_no_bytes(served: Served, nets: None) -> None:
    controls = [[union("canny")], [union("depth", DEPTH, guidance_end=0.5)], [union("canny"), union("tile", DEPTH)]]
    requests = [REQUEST | {"num_inference_steps": 8, "controls": each} for each in controls]
    alone = [served.client.generate(**request) for request in requests]
    together = meeting(served.client, requests, samples=4)
    for ours, (_, theirs) in zip(alone, together, strict=True):
        assert [image.tobytes() for image in ours.images] == [image.tobytes() for image in theirs.images]


@pytest.mark.parametrize(
    ("name", "kind", "problem"),
    [
        ("union", None, "must be one of openpose, depth, softedge, canny, .*, not '': 'union' is a union ControlNet"),
        ("union", "mine", "must be one of openpose, depth, softedge, canny, .*, not 'mine'"),
        ("union", "8", "must be one of"),
        ("canny-xl", "canny", "is for union ControlNets, and 'canny-xl' is none; leave it out"),
    ],
)
def test_a_wrong_type_is_named(served: Served, nets: None, name: str, kind: str | None, problem: str) -> None:
    with pytest.raises(InvalidArgumentError, match=problem) as caught:
        made(served, Control(name, EDGES, union_type=kind))
    assert caught.value.metadata["field"] == "controls[0].union_type"


def test_a_picture_tells_the_type(served: Served, nets: None) -> None:
    told = served.client.request_from(made(served, union("canny")).images[0])
    assert told.parameters["controls"] == [{"name": "union", "union_type": "canny"}]

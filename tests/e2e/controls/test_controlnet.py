"""ControlNets through the real servers; that the pictures are diffusers', tests/parity shows."""

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
from triptych.errors import InvalidArgumentError, NotFoundError

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
    fill_cache(CACHE, [paths["canny"], paths["depth"]])  # the other one is refused
    for name, path in paths.items():
        assert served.client.register_checkpoint(name, path).family == "controlnet"
    yield paths
    for name in paths:
        served.client.unregister_checkpoint(name)


def made(served: Served, *controls: Control, **more: Any) -> Any:
    return served.client.generate(**REQUEST | more, controls=list(controls))


def test_picture_scale_mode_and_each_control_tell(served: Served, nets: dict[str, Path]) -> None:
    first = made(served, Control("canny", EDGES))
    assert difference(first, made(served, Control("canny", EDGES))) == 0
    for other in (
        made(served),
        made(served, Control("canny", OTHER_EDGES)),
        made(served, Control("canny", EDGES, conditioning_scale=0.2)),
        made(served, Control("canny", EDGES), Control("depth", EDGES)),
        made(served, Control("canny", EDGES, control_mode="prompt")),
        made(served, Control("canny", EDGES), guess_mode=True),
    ):
        assert difference(first, other) > 0


def test_nothing_is_added_outside_the_window_or_at_a_scale_of_nothing(served: Served, nets: dict[str, Path]) -> None:
    plain = made(served)
    assert difference(plain, made(served, Control("canny", EDGES, conditioning_scale=0.0))) == 0
    # No step of four lies in it whole.
    assert difference(plain, made(served, Control("canny", EDGES, guidance_start=0.3, guidance_end=0.4))) == 0


def test_requests_with_unlike_weights_and_pictures_share_batches_and_change_no_bytes(
    served: Served, nets: dict[str, Path]
) -> None:
    controls = [
        [Control("canny", EDGES)],
        [Control("canny", OTHER_EDGES, conditioning_scale=0.4, guidance_end=0.8)],
        [Control("canny", EDGES, control_mode="prompt")],
        [],
    ]
    requests = [REQUEST | {"num_inference_steps": 12, "controls": each} for each in controls]
    alone = [served.client.generate(**request) for request in requests]
    together = meeting(served.client, requests, samples=4)
    for ours, (_, theirs) in zip(alone, together, strict=True):
        assert [image.tobytes() for image in ours.images] == [image.tobytes() for image in theirs.images]


def test_a_picture_that_tiles_is_another(served: Served, nets: dict[str, Path]) -> None:
    first = made(served, Control("canny", EDGES))
    assert difference(first, made(served, Control("canny", EDGES), tiling=True)) > 3


@pytest.mark.parametrize(
    ("field", "problem", "control"),
    [
        ("controls[0].name", "'nothing' is not registered", {"name": "nothing"}),
        ("controls[0].name", "is missing", {"name": ""}),
        ("controls[0].name", "'sd2' is Stable Diffusion 1.x and 2.x, and no ControlNet", {"name": "sd2"}),
        ("controls[0].name", "'canny-xl' has cross_attention_dim 80, .* 32", {"name": "canny-xl"}),
        ("controls[0].image", "is missing", {"image": b""}),
        ("controls[0].image", "is no picture", {"image": b"nothing"}),
        ("controls[0].conditioning_scale", "from 0 to 10", {"conditioning_scale": float("nan")}),
        ("controls[0].guidance_end", "from 0 to 1", {"guidance_end": 1.5}),
        ("controls[0].guidance_start", "less than guidance_end 0.5", {"guidance_start": 0.5, "guidance_end": 0.5}),
        ("controls[0].control_mode", "balanced, prompt, control", {"control_mode": "mine"}),
    ],
)
def test_what_is_wrong_is_named(
    served: Served, nets: dict[str, Path], field: str, problem: str, control: dict[str, Any]
) -> None:
    with pytest.raises((InvalidArgumentError, NotFoundError), match=problem) as caught:
        served.client.generate(**REQUEST, controls=[{"name": "canny", "image": EDGES} | control])
    assert caught.value.metadata["field"] == field


def test_more_than_the_operators_limit_and_guessing_alone_are_refused(served: Served, nets: dict[str, Path]) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^controls: must be at most 8, not 9"):
        made(served, *[Control("canny", EDGES)] * 9)
    with pytest.raises(InvalidArgumentError, match=r"^guess_mode: says how ControlNets count"):
        made(served, guess_mode=True)
    with pytest.raises(InvalidArgumentError, match=r"^checkpoint: 'canny' is a ControlNet"):
        served.client.generate(**REQUEST | {"checkpoint": "canny"})


def test_a_picture_tells_its_controls(served: Served, nets: dict[str, Path]) -> None:
    result = made(served, Control("canny", EDGES, conditioning_scale=0.75))
    told = served.client.request_from(result.images[0])
    assert told.parameters["controls"] == [{"name": "canny", "conditioning_scale": 0.75}]
    assert len(told.files["controls"]) == 1
    assert set(told.made_of["checkpoints"]) == {"sd1", "canny"}

"""T2I-Adapters through the real servers, against diffusers' pipelines for them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import MultiAdapter, StableDiffusionAdapterPipeline, StableDiffusionXLAdapterPipeline, T2IAdapter

from tests import tiny
from tests.conftest import CACHE, Served
from tests.e2e.serving import at_once, difference
from tests.parity.oracle import drawn
from tests.session.graphs import fill_cache
from triptych import Control
from triptych.errors import InvalidArgumentError

TOLERANCE = 2
ASKED: dict[str, Any] = {"prompt": "a red circle", "num_inference_steps": 4, "width": 64, "height": 64}
FULL = {"adapter_type": "full_adapter", "channels": [16, 32], "downscale_factor": 8}
EDGES, DEPTH = drawn((64, 64), 0), drawn((80, 64), 1)
PIPELINES = {"sd1": StableDiffusionAdapterPipeline, "sdxl": StableDiffusionXLAdapterPipeline}


@pytest.fixture(scope="module")
def adapters(
    served: Served, checkpoints: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, Path]]:
    """Registered by these names, and a ControlNet beside them."""
    root = tmp_path_factory.mktemp("adapters")
    paths = {
        "colour": tiny.save_t2i_adapter(root / "colour", **FULL),
        "grey": tiny.save_t2i_adapter(root / "grey", seed=32, in_channels=1, **FULL),
        "xl": tiny.save_t2i_adapter(root / "xl"),
        "xl-2": tiny.save_t2i_adapter(root / "xl-2", seed=33, num_res_blocks=2),
        "net": tiny.save_controlnet(root / "net", checkpoints["sd1"]),
    }
    fill_cache(CACHE, [paths["net"]])
    assert {served.client.register_controlnet(name, path).purpose for name, path in paths.items()} == {"controlling"}
    yield paths
    for name in paths:
        served.client.unregister_checkpoint(name)


def made(served: Served, *controls: Control, checkpoint: str = "sd1", **more: Any) -> Any:
    return served.client.generate(checkpoint=checkpoint, seed=3, **ASKED | more, controls=list(controls))


# By torch tests/engine/test_t2i_adapter.py compares what the UNet makes.
@pytest.mark.parametrize("engine", ["onnxruntime", pytest.param("torch", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("family", "scales", "more"), [
    ("sd1", {"colour": 0.8}, {}),
    ("sd1", {"grey": 1.0, "colour": 0.6}, {}),
    ("sdxl", {"xl": 0.9}, {"adapter_conditioning_factor": 0.5}),
    ("sdxl", {"xl": 0.5, "xl-2": 1.2}, {}),
])  # fmt: skip
def test_pictures_are_diffusers(
    served: Served,
    checkpoints: dict[str, Path],
    adapters: dict[str, Path],
    engine: str,
    family: str,
    scales: Mapping[str, float],
    more: dict[str, float],
) -> None:
    end = more.get("adapter_conditioning_factor")
    controls = [Control(name, EDGES, conditioning_scale=scale, guidance_end=end) for name, scale in scales.items()]
    asked = {"checkpoint": f"{family}-torch" if engine == "torch" else family, "guidance_scale": 5.0}
    ours = made(served, *controls, **asked)
    assert difference(ours, made(served, **asked)) > 5
    theirs = drawn_by_diffusers(checkpoints[family], PIPELINES[family], adapters, scales, **more)
    assert np.abs(np.asarray(theirs, np.int16) - np.asarray(ours.images[0], np.int16)).max() <= TOLERANCE


def drawn_by_diffusers(
    checkpoint: Path, pipeline: Any, adapters: Mapping[str, Path], scales: Mapping[str, float], **more: float
) -> Any:
    loaded = [T2IAdapter.from_pretrained(adapters[name]) for name in scales]
    pictures = [EDGES.convert("L") if name == "grey" else EDGES for name in scales]
    told = {"image": pictures, "adapter_conditioning_scale": list(scales.values())}
    if len(loaded) == 1:
        told = {name: value[0] for name, value in told.items()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own deprecated methods
        adapter = MultiAdapter(loaded) if len(loaded) > 1 else loaded[0]
        pipe = pipeline.from_pretrained(checkpoint, adapter=adapter)
        pipe.set_progress_bar_config(disable=True)
        generator = torch.Generator("cpu").manual_seed(3)
        return pipe(**ASKED, **told, **more, guidance_scale=5.0, generator=generator).images[0]


def test_unlike_requests_share_batches_and_change_no_bytes(served: Served, adapters: dict[str, Path]) -> None:
    controls = [
        [Control("colour", EDGES)],
        [Control("colour", DEPTH, conditioning_scale=0.4, guidance_end=0.5)],
        [Control("colour", EDGES, control_mode="prompt")],
        [Control("colour", EDGES, control_mode="control")],
    ]
    requests = [{**ASKED, "checkpoint": "sd1", "num_inference_steps": 8, "controls": each} for each in controls]
    alone = [served.client.generate(**request, seed=1) for request in requests]
    together = at_once(served.client, [{**request, "seed": 1} for request in requests])
    for ours, (_, theirs) in zip(alone, together, strict=True):
        assert [image.tobytes() for image in ours.images] == [image.tobytes() for image in theirs.images]
    assert len({image.tobytes() for each in alone for image in each.images}) == len(controls)


def test_it_goes_with_control_nets_hires_fix_and_a_picture(served: Served, adapters: dict[str, Path]) -> None:
    adapter, net = Control("colour", EDGES), Control("net", DEPTH)
    both = made(served, adapter, net)
    for other in (made(served, adapter), made(served, net)):
        assert difference(both, other) > 0
    assert difference(both, made(served, net, adapter)) <= 1
    for more in ({"image": EDGES, "strength": 0.6}, {"hires": {"scale": 1.5}}):
        assert difference(made(served, adapter, **more), made(served, **more)) > 0


@pytest.mark.parametrize(("control", "more", "field", "problem"), [
    (Control("xl", EDGES), {}, "controls[0].name", "is made for Stable Diffusion XL, by its full_adapter_xl"),
    (Control("xl", EDGES), {"checkpoint": "sdxl", "height": 72}, "controls[0].name", "multiples of 16 .*not 64 x 72"),
    (Control("colour", EDGES, union_type="canny"), {}, "controls[0].union_type", "is for union ControlNets"),
    (Control("colour", EDGES), {"guess_mode": True}, "guess_mode", "is for ControlNets, and 'colour' is a T2I-Adapter"),
])  # fmt: skip
def test_what_does_not_go_is_named(
    served: Served, adapters: dict[str, Path], control: Control, more: dict[str, Any], field: str, problem: str
) -> None:
    with pytest.raises(InvalidArgumentError, match=problem) as caught:
        made(served, control, **more)
    assert caught.value.metadata["field"] == field

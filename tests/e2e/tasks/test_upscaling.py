"""Pictures enlarged, at last or alone, through the real servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import triptych
from tests.conftest import Served
from tests.e2e.requests.test_image_to_image import noise, png
from tests.e2e.serving import SIZE, orchestrator
from triptych.errors import InvalidArgumentError
from triptych.sdk import Queued, Result, Upscale

REQUEST: dict[str, Any] = {
    "prompt": "a red circle", "checkpoint": "sd1", "scheduler": "ddim", "num_inference_steps": 2, "seed": 3, **SIZE,
}  # fmt: skip


def larger(image: Image.Image, size: tuple[int, int], kind: str = "lanczos") -> bytes:
    return image.resize(size, Image.Resampling[kind.upper()]).tobytes()


def test_the_last_step_changes_nothing_before_it(served: Served) -> None:
    plain = served.client.generate(**REQUEST, num_images_per_prompt=2)
    for upscale, size, kind in (
        ({}, (128, 128), "lanczos"),
        ({"width": 100, "upscaler": "nearest"}, (100, 100), "nearest"),
    ):
        result = served.client.generate(**REQUEST, num_images_per_prompt=2, upscale=upscale)
        assert [image.tobytes() for image in result.images] == [larger(image, size, kind) for image in plain.images]
    assert "Postprocess upscale by: 100x100, Postprocess upscaler: nearest" in str(result.images[0].info["parameters"])


def test_after_a_second_pass(served: Served) -> None:
    hires = {"scale": 1.25, "strength": 0.5}
    drawn = served.client.generate(**REQUEST, hires=hires).images[0]
    result = served.client.generate(**REQUEST, hires=hires, upscale=Upscale(scale=1.5))
    assert drawn.size == (80, 80) and result.images[0].tobytes() == larger(drawn, (120, 120))


def test_pictures_alone_need_no_checkpoint(served: Served, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png(noise(20, 30)))
    with orchestrator(served, tmp_path) as one, triptych.Client(one.address) as client:
        assert client.checkpoints() == []
        result = client.upscale([tmp_path / "a.png", noise(33, 7)], scale=2.5, image_format="webp")
        assert [image.tobytes() for image in result.images] == [
            larger(noise(20, 30), (50, 75)), larger(noise(33, 7), (82, 17)),
        ]  # fmt: skip
        assert (result.image_format, result.seeds, result.warnings) == ("webp", [0, 0], [])
        assert "Traceback" not in one.log


def test_pictures_alone_wait_for_nobody_who_draws(served: Served, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    arguments = ("--checkpoint", f"busy={checkpoints['sd1']}", "--limit", "max_concurrent_requests=1")
    with orchestrator(served, tmp_path, *arguments) as one, triptych.Client(one.address) as client:
        events = client.stream("a", **SIZE, num_inference_steps=200)
        assert isinstance(next(events), Queued) and next(events)
        assert client.upscale(noise(16, 16)).images[0].size == (32, 32)
        assert not any(isinstance(event, Result) for event in [next(events)])
        events.close()
        client.unregister_checkpoint("busy")


async def test_the_asyncio_client_too(served: Served) -> None:
    async with triptych.AsyncClient(served.stack.address) as client:
        result = await client.upscale(noise(16, 16), upscaler="bicubic", request_id="mine")
    assert result.request_id == "mine" and result.images[0].tobytes() == larger(noise(16, 16), (32, 32), "bicubic")


def test_it_is_told_before_and_counted(served: Served) -> None:
    queued, result = served.client.stream("", image=noise(16, 16), upscale=Upscale(height=40))
    assert isinstance(queued, Queued) and (queued.width, queued.height, queued.checkpoint) == (40, 40, "")
    assert isinstance(result, Result) and result.timings.unet.calls == 0
    info = served.client.server_info()
    assert info.upscalers[:4] == ["lanczos", "bicubic", "bilinear", "nearest"] and "latent" in info.latent_upscalers
    assert info.limits.max_upscaled_pixels == 16 << 20


def test_what_is_transparent_lies_on_white(served: Served) -> None:
    result = served.client.upscale(Image.new("RGBA", (8, 8), (255, 0, 0, 0)))
    assert np.asarray(result.images[0]).min() == 255


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        ({"image": b"no picture"}, "images[0]"),
        ({"image": noise(16, 16), "upscale": {"upscaler": "latent"}}, "upscale.upscaler"),
        ({"image": noise(16, 16), "upscale": {"scale": 0.5}}, "upscale.scale"),
        ({"image": noise(16, 16), "upscale": {"scale": 2, "width": 32}}, "upscale.scale"),
        ({"image": noise(64, 64), "upscale": {"width": 4097}}, "upscale.width"),
        ({"image": noise(1, 64), "upscale": {"height": 20_000}}, "upscale.height"),
        ({"image": [noise(8, 8)] * 9}, "images"),
        ({"image": noise(16, 16), "strength": 0.5}, "strength"),
        ({"image": noise(16, 16), "subseed": 5}, "subseeds"),
        ({"image": noise(16, 16), "negative_target_size": (8, 8)}, "negative_target_size"),
        ({"image": noise(16, 16), "hires": {}}, "hires"),
        ({"image": noise(16, 16), "quality": 5}, "quality"),
        ({"prompt": "a", "checkpoint": "sd1", "upscale": {"upscaler": "r"}, **SIZE}, "upscale.upscaler"),
        ({"prompt": "a", "checkpoint": "sd1", "upscale": {"scale": 16}, "width": 256, "height": 264}, "width"),
        ({"prompt": "a", "checkpoint": "sd1", "upscale": {"width": 32}, **SIZE}, "upscale.width"),
    ],
)
def test_what_is_wrong_is_named(served: Served, request_: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        served.client.generate(**{"prompt": "", "upscale": {}} | request_)
    assert caught.value.metadata["field"] == field

"""Upscalers on a real stage: registered as checkpoints are, tile by tile over what is larger than a tile."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import triptych
from tests.conftest import Served
from tests.e2e.serving import difference
from tests.upscalers import rrdb, rrdb_forward
from triptych.errors import InvalidArgumentError
from triptych_orchestrator.library.catalog import Catalog
from triptych_orchestrator.library.upscalers import Pixels, Upscalers, enlarged
from triptych_orchestrator.pipeline.tiling.upscaling import StageUpscalers
from triptych_orchestrator.settings import Settings
from triptych_orchestrator.stages.pool import ReplicaPool

FACTOR = 2


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("upscaler") / "tiny.safetensors"
    save_file(rrdb(FACTOR, unshuffled=True), path)
    return path


@pytest.fixture
async def upscalers(served: Served, file: Path, tmp_path: Path) -> AsyncIterator[Upscalers]:
    """Of a catalog of their own, on the session's stages."""
    stages = {replica.stage: (replica.address,) for replica in served.client.server_info().replicas}
    settings = Settings("", None, stages, tmp_path)
    pool = ReplicaPool(settings)
    await pool.start()
    catalog = Catalog(settings, pool)
    await catalog.register("apart", file)
    try:
        yield Upscalers(StageUpscalers(pool, catalog, 60.0, 512 * 1024))
        await catalog.unregister("apart")
    finally:
        await pool.stop()


def expected(pixels: Pixels) -> np.ndarray:
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255
    made = rrdb_forward(rrdb(FACTOR, unshuffled=True), image)[0].clamp(0, 1)
    return (made * 255).round().permute(1, 2, 0).numpy().astype(np.int16)


def drawn(height: int, width: int) -> Pixels:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


async def test_as_its_tensors_are_to_make_it(upscalers: Upscalers) -> None:
    """A picture in tiles too, but for where the network sees a tile's edge."""
    assert upscalers.names()[-1] == "apart" and upscalers.get("upscaler", "apart").takes_turn
    small, large = drawn(48, 64), drawn(200, 400)
    for pixels, most, mean in ((small, 1, 0.1), (large, 255, 0.5)):
        size = (pixels.shape[1] * FACTOR, pixels.shape[0] * FACTOR)
        ours = await enlarged(pixels, upscalers.get("upscaler", "apart"), size)
        apart = np.abs(ours.astype(np.int16) - expected(pixels))
        assert ours.shape == (size[1], size[0], 3) and apart.max() <= most and apart.mean() <= mean


async def test_odd_pictures_and_several_times(upscalers: Upscalers) -> None:
    upscaler = upscalers.get("upscaler", "apart")
    odd = drawn(33, 47)
    assert (await upscaler.enlarge(odd, (94, 66), "r")).shape == (66, 94, 3)
    assert (await upscaler.enlarge(odd, (100, 66), "r")).shape == (132, 188, 3)
    assert (await enlarged(odd, upscaler, (100, 66))).shape == (66, 100, 3)


async def test_what_it_would_make_is_bounded(upscalers: Upscalers) -> None:
    with pytest.raises(InvalidArgumentError, match="would make 1024 x 1024 pixels of 512 x 512 first"):
        await upscalers.get("upscaler", "apart").enlarge(drawn(512, 512), (520, 520), "r")


def test_it_is_told_and_draws_nothing(served: Served, file: Path) -> None:
    told = served.client.register_upscaler("tiny-x2", file, load=True)
    try:
        assert told.family == "esrgan" and told.architecture.startswith("8/x2 ")
        assert "tiny-x2" in served.client.server_info().upscalers
        asked = {"checkpoint": "sd1", "num_inference_steps": 2, "seed": 1, "width": 64, "height": 64}
        pictures = {
            name: served.client.generate("a red circle", **asked, hires=triptych.Hires(scale=2.0, upscaler=name))
            for name in ("tiny-x2", "lanczos")
        }
        assert [one.images[0].size for one in pictures.values()] == [(128, 128)] * 2
        assert difference(*pictures.values()) > 10
        pixels = drawn(20, 30)
        alone = served.client.generate("", image=Image.fromarray(pixels), upscale=triptych.Upscale(upscaler="tiny-x2"))
        assert np.abs(np.asarray(alone.images[0], np.int16) - expected(pixels)).max() <= 1
        with pytest.raises(InvalidArgumentError, match="an upscaler"):
            served.client.generate("a red circle", checkpoint="tiny-x2", width=64, height=64)
    finally:
        served.client.unregister_checkpoint("tiny-x2")
    assert "tiny-x2" not in served.client.server_info().upscalers

"""Tiles beside diffusers' own: the same cuts, the same blending, whatever is left over at the edges."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AutoencoderKL

from tests import tiny
from triptych_orchestrator.pipeline.tiling.tiles import Floats, Tiles, Tiling

SCALE = 8


@pytest.fixture(scope="module")
def vae(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """diffusers' own, its tiles 64 pixels wide."""
    vae = AutoencoderKL.from_pretrained(tiny.save_vae(tmp_path_factory.mktemp("vae") / "vae", sample_size=64))
    vae.enable_tiling()
    return vae


def joined(tiles: Tiles, whole: Floats, work: Any) -> Floats:
    strips, above = [], list[Floats]()
    for row in tiles.rows(whole):
        with torch.no_grad():
            made = [work(torch.from_numpy(tile[None].copy()))[0].numpy() for tile in row]
        strip, above = tiles.blended(above, made)
        strips.append(strip)
    return np.concatenate(strips, axis=1)


@pytest.mark.parametrize("size", [(9, 8), (13, 16), (22, 19)], ids=str)
def test_tiles_are_diffusers(vae: Any, size: tuple[int, int]) -> None:
    height, width = size
    tiling = Tiling(0, 64)
    latents = np.random.default_rng(0).standard_normal((4, height, width), np.float32)
    decoding, encoding = tiling.decoding(size, SCALE), tiling.encoding((height * SCALE, width * SCALE), SCALE)
    assert decoding and encoding
    with torch.no_grad():
        picture = vae.decode(torch.from_numpy(latents[None])).sample[0]
        moments = vae.encode(picture[None]).latent_dist.parameters[0]
    ours = joined(decoding, latents, lambda tile: vae.decoder(vae.post_quant_conv(tile)))
    np.testing.assert_allclose(ours, picture.numpy(), atol=1e-5)
    ours = joined(encoding, picture.numpy(), lambda tile: vae.quant_conv(vae.encoder(tile)))
    np.testing.assert_allclose(ours, moments.numpy(), atol=1e-4)


def test_what_the_decoder_is_given_is_known_before() -> None:
    tiling = Tiling(100 * 64, 64)
    assert tiling.decoded_shapes((4, 10, 10), SCALE) == {(4, 10, 10)}
    assert tiling.decoded_shapes((4, 13, 20), SCALE) == {(4, tall, wide) for tall in (8, 7, 1) for wide in (8, 2)}


def test_what_a_tile_holds_is_not_cut() -> None:
    assert Tiling(0, 64).decoding((8, 8), SCALE) is None and Tiling(0, 64).encoding((64, 64), SCALE) is None
    assert Tiling(0, 64).decoding((8, 9), SCALE) is not None


@pytest.mark.parametrize("size", [64, 65, 100, 127, 500])
def test_tiles_of_any_size_are_cut_between_latents(size: int) -> None:
    encoding = Tiling(0, size).encoding((SCALE * 99, SCALE * 99), SCALE)
    assert encoding and all(extent % SCALE == 0 for size in encoding.sizes(SCALE * 99, SCALE * 99) for extent in size)


@pytest.mark.parametrize("axes", ["", "x", "y", "xy"])
def test_what_goes_through_unchanged_comes_out_as_it_was(axes: str) -> None:
    """Blended with itself, and without the part of its other side that is laid around one that tiles."""
    picture = np.random.default_rng(0).standard_normal((3, 83, 150), np.float32)
    tiles, rows, above = Tiles(32, 32, axes), [], list[Floats]()
    sizes = set()
    for row in tiles.rows(picture):
        sizes |= {tile.shape[1:] for tile in row}
        strip, above = tiles.blended(above, row)
        rows.append(strip.transpose(1, 2, 0))
    np.testing.assert_allclose(tiles.inner(np.concatenate(rows)), picture.transpose(1, 2, 0), atol=1e-6)
    assert sizes == tiles.sizes(83, 150)

"""Components of what stands beside a UNet, and of what looks at pictures for it, as a UNet of that size has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tests import tiny
from tests.conftest import CACHE
from tests.e2e.ip_adapters.making import save_ip_adapter
from tests.session.graphs import fill_cache
from triptych.checkpoint import Checkpoint, Component
from triptych.contract import CONTROLNET, CONTROLNET_HINT, IMAGE_ENCODER, T2I_ADAPTER, UNET

NAMES = ("controlnet", "controlnet_hint", "union", "union_hint", "t2i_adapter", "t2i_adapter_xl", "image_encoder")


def save_all(folder: Path, checkpoints: Mapping[str, Path]) -> dict[str, Component]:
    """By `NAMES`; their graphs are in the cache then."""
    full = {"adapter_type": "full_adapter", "channels": [16, 32], "downscale_factor": 8}
    paths = {
        "net": tiny.save_controlnet(folder / "net", checkpoints["sd1"]),
        "union": tiny.save_union_controlnet(folder / "union", checkpoints["sdxl"]),
        "t2i": tiny.save_t2i_adapter(folder / "t2i", in_channels=3, **full),
        "t2i_xl": tiny.save_t2i_adapter(folder / "t2i_xl", num_res_blocks=2, in_channels=3),
        "ip": save_ip_adapter(folder, checkpoints["sd1"]),
    }
    fill_cache(CACHE, [*checkpoints.values(), *paths.values()])
    parts = {name: Checkpoint.open(path).components for name, path in paths.items()}
    unet = Checkpoint.open(checkpoints["sd1"]).components[UNET.name]
    usual = {part.latent_size for name in ("union", "t2i_xl") for part in parts[name].values()}
    assert usual == {(128, 128)} and all(part.latent_size == (64, 64) for part in parts["net"].values())
    found = {
        "controlnet": parts["net"][CONTROLNET],
        "controlnet_hint": parts["net"][CONTROLNET_HINT],
        "union": parts["union"][CONTROLNET],
        "union_hint": parts["union"][CONTROLNET_HINT],
        "t2i_adapter": parts["t2i"][T2I_ADAPTER],
        "t2i_adapter_xl": parts["t2i_xl"][T2I_ADAPTER],
        "image_encoder": parts["ip"][IMAGE_ENCODER.name],
    }
    return {name: replace(part, latent_size=unet.latent_size) for name, part in found.items()}

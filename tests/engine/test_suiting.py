"""A VAE that overflows in float16 is computed in float32, where its family's pipeline does so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests import tiny
from tests.conftest import CACHE
from triptych.checkpoint import Checkpoint
from triptych.engine import EngineSettings


def precisions(path: Path, precision: str) -> dict[str, str]:
    settings = EngineSettings(2, CACHE, "cuda:0", precision)
    suiting = {model: settings.suiting(component) for model, component in Checkpoint.open(path).components.items()}
    # Factors of as many bits as float16 has are good enough in its place.
    assert all(each.tf32 == (each.precision != precision) for each in suiting.values())
    return {model: each.precision for model, each in suiting.items()}


@pytest.mark.parametrize(("stated", "wide"), [(True, True), (False, False), (None, False), (..., True)])
def test_as_the_configuration_says(sdxl: Path, tmp_path: Path, stated: object, wide: bool) -> None:
    copy = Path(shutil.copytree(sdxl, tmp_path / "copy"))
    if stated is ...:  # AutoencoderKL's default
        config = copy / "vae" / "config.json"
        config.write_text(config.read_text().replace('"force_upcast"', '"unknown"'))
    else:
        tiny.update(copy / "vae" / "config.json", force_upcast=stated)
    vae = "fp32" if wide else "fp16"
    others = dict.fromkeys(("encoder", "encoder_2", "unet"), "fp16")
    assert precisions(copy, "fp16") == others | {"vae_decoder": vae, "vae_encoder": vae}


def test_only_that_familys_and_only_float16(sdxl: Path, checkpoints: dict[str, Path]) -> None:
    assert set(precisions(checkpoints["sd1"], "fp16").values()) == {"fp16"}
    assert set(precisions(sdxl, "bf16").values()) == {"bf16"}

"""Random checkpoints in the sizes of those that people use: read as such, their weights not made here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from triptych.measuring import checkpoints, diffusers_worker, engines_worker
from triptych.measuring.checkpoints import SIZES, ensure_checkpoint


def test_one_appears_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = ensure_checkpoint(tmp_path / "tiny", SIZES["tiny"])
    written = (folder / "model_index.json").stat().st_mtime_ns
    assert ensure_checkpoint(folder, SIZES["tiny"]) == folder
    assert (folder / "model_index.json").stat().st_mtime_ns == written

    def full(*_arguments: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(checkpoints, "_save_tokenizer", full)
    with pytest.raises(OSError, match="no space"):
        ensure_checkpoint(tmp_path / "other", SIZES["tiny"])
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("name", "unet", "texts"),
    [
        ("sd15", 859_520_964, [123_060_480]),
        ("sd21", 865_910_724, [340_387_840]),
        ("sdxl", 2_567_463_684, [123_060_480, 694_659_840]),
    ],
)
def test_the_sizes_are_those_of_the_real_ones(
    name: str, unet: int, texts: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted on the meta device, where weights have no memory; the counts are those of the published files."""
    import torch

    counts: dict[str, int] = {}

    def counted(self: torch.nn.Module, folder: Path) -> None:
        counts[folder.name] = sum(parameter.numel() for parameter in self.parameters())

    for kind in ("diffusers.AutoencoderKL", "diffusers.UNet2DConditionModel", "transformers.PreTrainedModel"):
        monkeypatch.setattr(f"{kind}.save_pretrained", counted)
    with torch.device("meta"):
        ensure_checkpoint(tmp_path / name, SIZES[name])
    encoders = dict(zip(("text_encoder", "text_encoder_2"), texts, strict=False))
    assert counts == {"unet": unet, **encoders, "vae": 83_653_863}
    scheduler = json.loads((tmp_path / name / "scheduler" / "scheduler_config.json").read_text())
    assert scheduler.get("prediction_type", "epsilon") == ("v_prediction" if name == "sd21" else "epsilon")


@pytest.mark.parametrize("name", ["tiny", "tiny-sdxl"])
def test_each_side_of_a_comparison_draws_with_them(name: str, tmp_path: Path) -> None:
    checkpoint = ensure_checkpoint(tmp_path / name, SIZES[name])
    request = {"num_inference_steps": 1, "width": 64, "height": 64}
    setting = {"checkpoint": str(checkpoint), "threads": 2, "device": "cpu", "precision": "fp32", "compiled": False}
    diffusers_worker.load(setting)({"prompt": "a red circle", **request})
    engines_worker.load({**setting, "engine": "torch", "cache_dir": str(tmp_path)})(request)

"""What is told of a checkpoint: format, architecture, precision, and what a file's metadata says."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from tests.tiny import save_editing_checkpoint, update
from triptych.checkpoint import Checkpoint
from triptych.checkpoint.identity.about import about
from triptych.checkpoint.sources.folder import Folder

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def copy(checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoints["sd1"], tmp_path / "copy"))


def test_a_folder(checkpoints: dict[str, Path]) -> None:
    told = {name: about(Checkpoint.open(path)) for name, path in checkpoints.items()}
    assert {each.format for each in told.values()} == {"diffusers"}
    assert {each.precision for each in told.values()} == {"float32"}
    assert told["sd1"].architecture.startswith("16-32/32 ") and told["sdxl"].architecture.startswith("8-16-16/80 ")
    assert told["sd2"].architecture == told["sd2zero"].architecture != told["sd1"].architecture
    assert told["sd1"].title == "" and told["sd1"].trigger_words == ()
    assert {each.purpose for each in told.values()} == {"drawing"}


def test_what_shapes_no_graph_is_no_other_architecture(copy: Path) -> None:
    before = about(Checkpoint.open(copy)).architecture
    update(copy / "unet" / "config.json", sample_size=16)
    assert about(Checkpoint.open(copy)).architecture == before
    update(copy / "unet" / "config.json", norm_eps=1e-3)
    assert about(Checkpoint.open(copy)).architecture != before


def test_precisions_by_their_bytes(copy: Path) -> None:
    file = copy / UNET
    save_file({name: tensor.half() for name, tensor in load_file(file).items()}, file)
    whole, half = (sum(path.stat().st_size for path in copy.glob(f"{name}/*.safetensors")) for name in ("*", "unet"))
    assert about(Checkpoint.open(copy)).precision == ("float16, float32" if half > whole - half else "float32, float16")


@pytest.mark.parametrize(
    ("metadata", "title", "words"),
    [
        (
            {"modelspec.title": " Ink ", "modelspec.trigger_phrase": "ink, night;ink\nrain"},
            "Ink",
            ("ink", "night", "rain"),
        ),
        ({"ss_output_name": "ink-v2", "trigger_words": "ink"}, "ink-v2", ("ink",)),
        ({"modelspec.title": "x" * 1_000, "trigger_word": ",".join("abcdefghijklmnopqrstuvwxyz")}, "x" * 200, None),
        ({"format": "pt"}, "", ()),
    ],
)
def test_metadata(
    checkpoints: dict[str, Path], monkeypatch: pytest.MonkeyPatch, metadata: dict[str, str], title: str, words: object
) -> None:
    monkeypatch.setattr(Folder, "metadata", lambda source: metadata)
    told = about(Checkpoint.open(checkpoints["sd1"]))
    assert told.title == title and len(told.trigger_words) <= 20
    assert words is None or told.trigger_words == words


def test_what_it_is_for(checkpoints: dict[str, Path], tmp_path: Path) -> None:
    ways = {"instructed": ("InstructPix2Pix", 8), "inpainting": ("Inpaint", 9)}
    for purpose, (kind, channels) in ways.items():
        path = save_editing_checkpoint(
            tmp_path / purpose, checkpoints["sd1"], f"StableDiffusion{kind}Pipeline", channels
        )
        assert about(Checkpoint.open(path)).purpose == purpose

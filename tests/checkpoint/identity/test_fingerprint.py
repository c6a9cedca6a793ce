"""What a checkpoint's fingerprint tells apart, here and on another machine, and which files belong to it."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.checkpoint.sources.test_vae_alone import save_original
from tests.single_files import save_pair
from tests.tiny import replace_weights, save_vae, update
from triptych.checkpoint import Checkpoint
from triptych.checkpoint.identity.fingerprint import Fingerprint
from triptych.errors import CheckpointChangedError, InvalidArgumentError
from triptych.stage.model import engine_settings
from triptych_encoder.model import EncoderModel
from triptych_orchestrator.library.entry import Entry
from triptych_vae.model import VaeDecoderModel

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.fixture
def copy(checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoints["sd1"], tmp_path / "copy"))


def opened(path: Path, vae: Path | None = None) -> Entry:
    entry = Entry("x", path, "", vae=str(vae or ""))
    entry.open()
    return entry


def told(entry: Entry) -> Fingerprint:
    """As a stage gets it."""
    return Fingerprint.from_text(entry.models()["unet"].parameters["fingerprint"])


def test_all_that_was_read_belongs_to_it_and_nothing_else(copy: Path) -> None:
    (copy / "unet" / "diffusion_pytorch_model.bf16.safetensors").touch()
    (copy / "README.md").touch()
    files = {str(path.relative_to(copy)) for path in told(opened(copy)).files}
    assert files == {
        *("model_index.json", "scheduler/scheduler_config.json", UNET, "unet/config.json", "vae/config.json"),
        *("vae/diffusion_pytorch_model.safetensors", "text_encoder/config.json", "text_encoder/model.safetensors"),
        *(f"tokenizer/{name}" for name in ("vocab.json", "merges.txt", "tokenizer_config.json")),
        "tokenizer/special_tokens_map.json",
    }
    told(opened(copy)).check()


def test_shards_and_their_index_belong_to_it(copy: Path) -> None:
    import diffusers

    diffusers.UNet2DConditionModel.from_pretrained(copy / "unet").save_pretrained(copy / "new", max_shard_size="40KB")
    shutil.rmtree(copy / "unet")
    (copy / "new").rename(copy / "unet")
    files = {path for path in Checkpoint.open(copy).fingerprint().files if path.parent == copy / "unet"}
    assert files == set((copy / "unet").iterdir()) and len(files) > 3


@pytest.mark.parametrize("file", [UNET, "tokenizer/merges.txt", "scheduler/scheduler_config.json", "model_index.json"])
def test_another_file_under_the_name_is_noticed(copy: Path, file: str) -> None:
    fingerprint = told(opened(copy))
    other = copy / "other"
    shutil.copy(copy / file, other)
    os.utime(other, ns=(0, (copy / file).stat().st_mtime_ns))  # of that size and time even
    other.replace(copy / file)
    with pytest.raises(
        CheckpointChangedError, match=f"{copy / file}: is another file now .* Register it again"
    ) as caught:
        fingerprint.check()
    assert caught.value.metadata["file"] == str(copy / file) and caught.value.grpc_status == "FAILED_PRECONDITION"
    told(opened(copy)).check()


def test_a_file_that_was_written_to_or_is_gone_is_noticed(copy: Path) -> None:
    entry = opened(copy)
    update(copy / "unet" / "config.json", more=1)
    with pytest.raises(CheckpointChangedError, match=r"config\.json: is another file"):
        told(entry).check()
    (copy / "unet" / "config.json").unlink()
    with pytest.raises(CheckpointChangedError, match=r"config\.json: cannot be found any more: No such file"):
        told(entry).check()


def test_what_is_put_back_is_what_it_was(copy: Path) -> None:
    fingerprint = told(opened(copy))
    shutil.copy2(copy / UNET, copy / "aside")
    (copy / UNET).rename(copy / "kept")
    (copy / "aside").rename(copy / UNET)
    with pytest.raises(CheckpointChangedError):
        fingerprint.check()
    (copy / "kept").rename(copy / UNET)
    fingerprint.check()


def test_elsewhere_a_copy_with_the_same_times_is_the_same(copy: Path, tmp_path: Path) -> None:
    here = told(opened(copy))
    there = replace(here, machine="another")
    shutil.copytree(copy, tmp_path / "copied")  # with times, as rsync -a
    shutil.rmtree(copy)
    (tmp_path / "copied").rename(copy)
    there.check()
    with pytest.raises(CheckpointChangedError):
        here.check()
    replace_weights(copy / UNET)
    with pytest.raises(CheckpointChangedError, match=UNET):
        there.check()


@pytest.mark.parametrize("only", ["diffusion_pytorch_model.fp16.safetensors", "diffusion_pytorch_model.bin"])
@pytest.mark.parametrize("came", [UNET, f"{UNET}.index.json"])
def test_weights_that_would_be_taken_instead_are_noticed(copy: Path, only: str, came: str) -> None:
    if only.endswith(".bin"):
        torch.save(load_file(copy / UNET), copy / "unet" / only)
        (copy / UNET).unlink()
    else:
        (copy / UNET).rename(copy / "unet" / only)
    fingerprint = told(opened(copy))
    fingerprint.check()
    (copy / "unet" / "model.fp32.safetensors").touch()  # which would not
    fingerprint.check()
    (copy / came).touch()
    with pytest.raises(CheckpointChangedError, match=f"{copy / came}: was not there when .* Register it again"):
        fingerprint.check()


def test_a_configuration_that_comes_beside_a_single_file_is_noticed(tmp_path: Path) -> None:
    file = save_pair(tmp_path, "sd1").file
    fingerprint = told(opened(file))
    fingerprint.check()
    file.with_suffix(".yaml").write_text("parameterization: v")
    with pytest.raises(CheckpointChangedError, match=r"\.yaml: was not there"):
        fingerprint.check()
    told(opened(file)).check()


@pytest.mark.parametrize("kind", ["folder", "file", "checkpoint"])
def test_another_vae_belongs_to_it(checkpoints: dict[str, Path], copy: Path, tmp_path: Path, kind: str) -> None:
    file = "diffusion_pytorch_model.safetensors"
    alone = save_vae(tmp_path / "vae", block_out_channels=(32, 32, 64, 64), norm_num_groups=32)
    vae, weights = alone, alone / file
    if kind == "file":
        vae = weights = save_original(tmp_path / "vae.safetensors", alone)
    elif kind == "checkpoint":
        vae = Path(shutil.copytree(checkpoints["sdxl"], tmp_path / "xl"))
        weights = vae / "vae" / file
    fingerprint = told(opened(copy, vae))
    assert {copy / UNET, weights} <= fingerprint.files.keys() and copy / "vae" / file not in fingerprint.files
    VaeDecoderModel().open(copy, "torch", engine_settings(), "", fingerprint, vae)
    replace_weights(weights)
    for check in (
        fingerprint.check,
        lambda: VaeDecoderModel().open(copy, "torch", engine_settings(), "", fingerprint, vae),
    ):
        with pytest.raises(CheckpointChangedError, match=f"{weights}: is another file now"):
            check()
    told(opened(copy, vae)).check()


def test_a_stage_reads_nothing_else(copy: Path) -> None:
    """Whatever has it choose another file than the orchestrator did."""
    fingerprint = told(opened(copy))
    shutil.copy(copy / UNET, copy / "unet" / "diffusion_pytorch_model.new.safetensors")
    fingerprint.check()
    with pytest.raises(CheckpointChangedError, match=r"\.new\.safetensors: was not there"):
        EncoderModel().open(copy, "onnxruntime", engine_settings(), "new", fingerprint)


def test_two_versions_are_not_read_at_once(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its weights are exchanged after their header was read, and before the tokenizer is."""
    whole = Checkpoint.open

    def slow(path: Path, *told: Any) -> Checkpoint:
        checkpoint = whole(path, *told)
        replace_weights(path / UNET)
        return checkpoint

    monkeypatch.setattr(Checkpoint, "open", slow)
    with pytest.raises(CheckpointChangedError, match=UNET):
        opened(copy)


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"machine": "x", "files": {"a": [1]}}', '{"machine": 1, "files": []}']
)
def test_what_is_none(text: str) -> None:
    with pytest.raises(InvalidArgumentError, match="fingerprint: is none"):
        Fingerprint.from_text(text)


def test_a_name_that_is_not_ascii_travels(copy: Path, tmp_path: Path) -> None:
    there = copy.rename(tmp_path / "größer")
    assert all("größer" in str(path) for path in told(opened(there)).files)
    told(opened(there)).check()

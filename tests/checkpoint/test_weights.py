"""Which file of a component is taken, and what is said of files that are not what their names say."""

from __future__ import annotations

import io
import json
import pickle
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch

from triptych.checkpoint import Checkpoint
from triptych.checkpoint.safetensors import map_tensor
from triptych.checkpoint.weights import weight_files
from triptych.errors import CheckpointInvalidError, TriptychError
from triptych_orchestrator.library.entry import Entry

UNET = "unet/diffusion_pytorch_model.safetensors"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a2146\nsize 3438167540\n"
PAGE = b'\n<!DOCTYPE html>\n<html class=""><head><title>Sign in</title></head></html>\n' * 20


def archive() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr("archive/data.pkl", pickle.dumps({}))
    return stream.getvalue()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where what is converted goes."""
    monkeypatch.setenv("TRIPTYCH_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def copy(checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoints["sd1"], tmp_path / "copy"))


def refused(directory: Path) -> TriptychError:
    with pytest.raises(CheckpointInvalidError) as caught:
        Entry("x", directory, "").open()
    return caught.value


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (POINTER, "git lfs pull"),
        (PAGE, "a web page"),
        (b"\xef\xbb\xbf<HTML>", "a web page"),
        (archive(), "under another name"),
        *((pickle.dumps({"a": [1.5] * 40}, protocol), "under another name") for protocol in (2, 4, 5)),
        (b"GGUF\x03\0\0\0" + b"\0" * 100, "a GGUF file"),
        (b"\x1f\x8b\x08\0" + b"\1" * 100, "unpack it"),
        (b"", "empty"),
        (b"\0" * 5_000, "zeros"),
    ],
)
@pytest.mark.parametrize(
    "file", [UNET, "unet/config.json", "tokenizer/vocab.json", "tokenizer/merges.txt", "model_index.json"]
)
def test_files_that_are_something_else_are_called_what_they_are(
    copy: Path, file: str, content: bytes, said: str
) -> None:
    (copy / file).write_bytes(content)
    error = refused(copy)
    assert said in error.message and Path(error.metadata["file"]).name == Path(file).name


@pytest.mark.parametrize("kept_bytes", [9, 2_000, -1])
def test_a_file_cut_short_is_said_to_be(copy: Path, kept_bytes: int) -> None:
    content = (copy / UNET).read_bytes()
    (copy / UNET).write_bytes(content[:kept_bytes])
    error = refused(copy)
    assert "cut short" in error.message and "download it again" in error.message


def as_variants(folder: Path, *variants: str) -> None:
    """The folder's weights under the names that diffusers' `variant=` gives them, and no more under the plain one."""
    whole = folder / "diffusion_pytorch_model.safetensors"
    for variant in variants:
        shutil.copy(whole, folder / f"diffusion_pytorch_model.{variant}.safetensors")
    whole.unlink()


@pytest.mark.parametrize("variants", [["bf16"], ["non_ema"], ["fp16"], ["fp16", "non_ema"]])
def test_a_lone_variant_is_taken(copy: Path, variants: list[str]) -> None:
    as_variants(copy / "unet", *variants)
    assert weight_files(copy / "unet", copy) == [copy / f"unet/diffusion_pytorch_model.{variants[0]}.safetensors"]
    Entry("x", copy, "").open()


def test_diffusers_names_variants_as_we_read_them(copy: Path) -> None:
    import diffusers

    model = diffusers.UNet2DConditionModel.from_pretrained(copy / "unet")
    names = Checkpoint.open(copy).components["unet"].weights.keys()
    for folder, size in (("whole", "10GB"), ("sharded", "100KB")):
        model.save_pretrained(copy / folder, variant="bf16", max_shard_size=size)
        shutil.rmtree(copy / "unet")
        (copy / folder).rename(copy / "unet")
        assert Checkpoint.open(copy).components["unet"].weights.keys() == names
    assert len(weight_files(copy / "unet", copy)) > 1


def test_the_plain_name_comes_before_variants(copy: Path) -> None:
    shutil.copy(copy / UNET, copy / "unet/diffusion_pytorch_model.fp16.safetensors")
    assert weight_files(copy / "unet", copy) == [copy / UNET]


def test_of_several_variants_none_is_guessed(copy: Path) -> None:
    as_variants(copy / "unet", "bf16", "non_ema")
    error = refused(copy)
    assert "diffusion_pytorch_model.bf16.safetensors, diffusion_pytorch_model.non_ema.safetensors" in error.message
    assert "choose one by variant=" in error.message


def test_where_there_are_no_weights_what_is_there_is_named(copy: Path) -> None:
    (copy / UNET).rename(copy / "unet/flax_model.msgpack")
    assert "found flax_model.msgpack" in refused(copy).message
    (copy / "unet/flax_model.msgpack").unlink()
    assert "found nothing" in refused(copy).message
    (copy / "unet/diffusion_pytorch_model.bin").touch()
    assert "empty" in refused(copy).message


def pickled(folder: Path, base: str, **options: Any) -> None:
    """The folder's weights as torch saves them, and no more as safetensors."""
    for file in [*folder.glob("*.safetensors")]:
        torch.save(safetensors.torch.load_file(file), folder / f"{base}.bin", **options)
        file.unlink()


@pytest.mark.parametrize("is_zip", [True, False])
def test_pickled_weights_are_the_same_weights(copy: Path, is_zip: bool) -> None:
    before = Checkpoint.open(copy).components
    held = {
        model: {name: map_tensor(info, {}) for name, info in part.weights.items()} for model, part in before.items()
    }
    bases = {"unet": "diffusion_pytorch_model", "vae": "diffusion_pytorch_model", "text_encoder": "pytorch_model"}
    for folder, base in bases.items():
        pickled(copy / folder, base, _use_new_zipfile_serialization=is_zip)
    for model, part in Checkpoint.open(copy).components.items():
        assert part.weights.keys() == held[model].keys()
        for name, info in part.weights.items():
            assert np.array_equal(map_tensor(info, {}), held[model][name])
            assert not info.path.is_relative_to(copy)
    Entry("x", copy, "").open()


def test_pickled_shards_and_variants(copy: Path) -> None:
    tensors = safetensors.torch.load_file(copy / UNET)
    names = [*tensors]
    halves = {f"diffusion_pytorch_model-0000{n + 1}-of-00002.bin": names[n::2] for n in range(2)}
    for file, part in halves.items():
        torch.save({name: tensors[name] for name in part}, copy / "unet" / file)
    index = {"weight_map": {name: file for file, part in halves.items() for name in part}}
    (copy / "unet/diffusion_pytorch_model.bin.index.json").write_text(json.dumps(index))
    assert weight_files(copy / "unet", copy) == [copy / UNET]
    (copy / UNET).unlink()
    assert Checkpoint.open(copy).components["unet"].weights.keys() == tensors.keys()
    (copy / "unet/diffusion_pytorch_model.bin.index.json").unlink()
    torch.save(tensors, copy / "unet/diffusion_pytorch_model.fp16.bin")
    assert Checkpoint.open(copy).components["unet"].weights.keys() == tensors.keys()


def test_a_link_to_pickled_weights_may_not_lead_out(copy: Path, tmp_path: Path) -> None:
    pickled(copy / "unet", "diffusion_pytorch_model")
    (copy / "unet/diffusion_pytorch_model.bin").rename(tmp_path / "elsewhere.bin")
    (copy / "unet/diffusion_pytorch_model.bin").symlink_to(tmp_path / "elsewhere.bin")
    assert "a link leads out" in refused(copy).message


@pytest.mark.parametrize("file", [UNET, "unet/config.json", "model_index.json"])
def test_a_link_to_nothing_is_called_one(copy: Path, file: str) -> None:
    (copy / file).unlink()
    (copy / file).symlink_to("../../blobs/4d7a2146")
    assert f"{copy / file}: a link to ../../blobs/4d7a2146, where nothing is" in refused(copy).message


def test_weights_that_are_a_folder_are_called_one(copy: Path) -> None:
    (copy / UNET).unlink()
    (copy / UNET).mkdir()
    assert refused(copy).message == f"{copy / UNET}: not a regular file"


@pytest.mark.parametrize(
    ("part", "key", "default"), [("text_encoder", "vocab_size", 49408), ("unet", "cross_attention_dim", 1280)]
)
def test_a_size_that_was_assumed_is_said_to_be(copy: Path, part: str, key: str, default: int) -> None:
    file = copy / part / "config.json"
    config = json.loads(file.read_text())
    del config[key]
    file.write_text(json.dumps(config))
    assert f"it does not say {key}={default}, which is the default" in refused(copy).message
    file.write_text(json.dumps(config | {key: 10}))
    assert "which is the default" not in refused(copy).message


@pytest.mark.parametrize(
    ("part", "values"),
    [
        ("unet", {"layers_per_block": 256, "transformer_layers_per_block": 64}),
        ("unet", {"layers_per_block": 30}),
        ("unet", {"transformer_layers_per_block": [[1, 40], 3]}),
        ("unet", {"reverse_transformer_layers_per_block": [90, 1]}),
        ("vae", {"layers_per_block": [200, 200, 200, 200]}),
        ("text_encoder", {"num_hidden_layers": 250}),
    ],
)
def test_more_layers_than_there_are_weights_for_are_refused(copy: Path, part: str, values: dict[str, object]) -> None:
    file = copy / part / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | values))
    error = refused(copy)
    assert error.metadata["file"] == str(file) and "layers" in error.message


def test_a_tensors_name_that_is_no_text(copy: Path) -> None:
    tensors = safetensors.torch.load_file(copy / UNET)
    content = safetensors.torch.save({**tensors, "odd": tensors["conv_in.bias"].clone()})
    (copy / UNET).write_bytes(
        (int.from_bytes(content[:8], "little") + 3).to_bytes(8, "little")
        + content[8:].replace(b'"odd"', b'"\\ud800"', 1)
    )
    assert "half of a surrogate pair" in refused(copy).message

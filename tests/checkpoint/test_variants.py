"""Folders as people have them, held against what diffusers loads of them: variants, shards, old matrices."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from triptych.checkpoint import Checkpoint, Component
from triptych.checkpoint.safetensors import map_tensor
from triptych.errors import CheckpointInvalidError, InvalidArgumentError
from triptych_orchestrator.library.entry import Entry

CLASSES: dict[str, Any] = {
    "unet": diffusers.UNet2DConditionModel,
    "vae": diffusers.AutoencoderKL,
    "text_encoder": transformers.CLIPTextModel,
}
MODELS = {"unet": ["unet"], "vae": ["vae_decoder", "vae_encoder"], "text_encoder": ["encoder"]}


@pytest.fixture
def copy(checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(checkpoints["sd1"], tmp_path / "copy"))


def save_variant(copy: Path, variant: str, factor: float, size: str = "10GB", parts: tuple[str, ...] = ()) -> None:
    """Other weights beside the plain ones, written by diffusers and transformers themselves."""
    for part in parts or CLASSES:
        model = CLASSES[part].from_pretrained(copy / part)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter *= factor
        model.to(torch.float16).save_pretrained(copy / "saved" / part, variant=variant, max_shard_size=size)
        for file in (copy / "saved" / part).glob("*model*"):
            file.rename(copy / part / file.name)
    shutil.rmtree(copy / "saved")


def agree(copy: Path, variant: str) -> None:
    """Every tensor of ours, opened by that variant, is the one that diffusers loads."""
    pipeline = diffusers.DiffusionPipeline.from_pretrained(copy, variant=variant or None)
    opened = Checkpoint.open(copy, variant)
    for part, models in MODELS.items():
        theirs = getattr(pipeline, part).state_dict()
        ours: dict[str, Component] = {
            name: opened.components[model] for model in models for name in opened.components[model].weights
        }
        named = {name.removeprefix("text_model."): value for name, value in theirs.items()}
        assert ours.keys() == {name for name in named if not name.endswith("position_ids")}
        for name, component in ours.items():
            value = torch.from_numpy(map_tensor(component.weights[name], {}).copy())
            assert value.shape == named[name].shape and torch.equal(value.float(), named[name].float()), name


@pytest.mark.parametrize("size", ["10GB", "40KB"])
@pytest.mark.parametrize("variant", ["", "fp16"])
def test_beside_full_ones_a_variant_is_taken_where_it_is_asked_for(copy: Path, variant: str, size: str) -> None:
    save_variant(copy, "fp16", 1.5, size)
    agree(copy, variant)
    dtypes = {
        info.dtype for part in Checkpoint.open(copy, variant).components.values() for info in part.weights.values()
    }
    assert dtypes == ({"F16"} if variant else {"F32"})


def test_a_component_without_the_variant_gives_its_plain_weights(copy: Path) -> None:
    save_variant(copy, "fp16", 1.5, parts=("unet",))
    agree(copy, "fp16")


def test_shards_of_full_precision(copy: Path) -> None:
    for part, kind in CLASSES.items():
        kind.from_pretrained(copy / part).save_pretrained(copy / "sharded", max_shard_size="40KB")
        shutil.rmtree(copy / part)
        (copy / "sharded").rename(copy / part)
        assert len(list((copy / part).glob("*-of-*"))) > 1
    agree(copy, "")


def test_a_variant_that_no_component_has_is_refused_and_those_that_are_there_named(copy: Path) -> None:
    save_variant(copy, "fp16", 1.5, parts=("unet",))
    save_variant(copy, "bf16", 1.5, parts=("vae",))
    with pytest.raises(InvalidArgumentError, match=r"variant: .*'non_ema'; there are: bf16, fp16") as caught:
        Checkpoint.open(copy, "non_ema")
    assert caught.value.metadata["field"] == "variant"


def test_a_vaes_attention_as_convolutions_of_one_pixel(copy: Path) -> None:
    """As the original files have it, which older converters passed on; diffusers takes it in single files alone."""
    file = copy / "vae" / "diffusion_pytorch_model.safetensors"
    tensors = load_file(file)
    names = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}

    def old(name: str, value: torch.Tensor) -> tuple[str, torch.Tensor]:
        for new, former in names.items():
            if f".attentions.0.{new}.weight" in name:
                return name.replace(new, former), value[:, :, None, None].contiguous()
        return name, value

    save_file(dict(old(name, value) for name, value in tensors.items()), file)
    opened = Checkpoint.open(copy)
    for model in MODELS["vae"]:
        for name, info in opened.components[model].weights.items():
            assert torch.equal(torch.from_numpy(map_tensor(info, {}).copy()), tensors[name]), name


@pytest.mark.parametrize("folder", ["safety_checker", "feature_extractor"])
def test_what_is_not_needed_may_be_missing(copy: Path, folder: str) -> None:
    index = copy / "model_index.json"
    index.write_text(index.read_text().replace(f'"{folder}": [\n    null,\n    null\n  ]', f'"{folder}": ["x", "Y"]'))
    assert '["x", "Y"]' in index.read_text()
    Entry("x", copy, "").open()


@pytest.mark.parametrize("folder", ["unet", "vae", "text_encoder", "scheduler", "tokenizer"])
def test_what_is_needed_is_named_where_it_is_missing(copy: Path, folder: str) -> None:
    shutil.rmtree(copy / folder)
    with pytest.raises(CheckpointInvalidError) as caught:
        Entry("x", copy, "").open()
    assert caught.value.message.startswith(f"{copy / folder}: the folder is missing")


def test_a_null_component_is_named(copy: Path) -> None:
    index = copy / "model_index.json"
    index.write_text(index.read_text().replace('["transformers", "CLIPTextModel"]', "[null, null]"))
    text = index.read_text().replace('"transformers",\n    "CLIPTextModel"', "null,\n    null")
    index.write_text(text)
    with pytest.raises(CheckpointInvalidError, match="text_encoder must be a CLIPTextModel, and it names none"):
        Checkpoint.open(copy)

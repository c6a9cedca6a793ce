"""IP-Adapters' files: what is told by names and shapes, and what is said of one that is not to be had."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests import tiny
from tests.e2e.ip_adapters.making import adapter_tensors, save_image_encoder, save_ip_adapter
from tests.engine.cache.hub_configs import VIT_BIG_G, VIT_H
from tests.hollow import write_zeros
from triptych.checkpoint import Checkpoint
from triptych.checkpoint.families.ip_adapter import cross_attentions, image_attentions, misfit
from triptych.checkpoint.identity.about import about
from triptych.checkpoint.identity.digests import checkpoint_digests
from triptych.contract import IMAGE_ENCODER, UNET
from triptych.engine.cache.artifacts import artifact_key
from triptych.errors import CheckpointInvalidError, InvalidArgumentError


@pytest.fixture(scope="module")
def sd1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save_checkpoint(tmp_path_factory.mktemp("ip") / "sd1")


def test_the_order_of_its_matrices_is_that_of_diffusers_processors(sd1: Path, tmp_path: Path) -> None:
    from diffusers import UNet2DConditionModel

    processors = UNet2DConditionModel.from_pretrained(sd1 / "unet").attn_processors
    wanted = [name.removesuffix(".processor") for name in processors if "attn2" in name]
    unet = Checkpoint.open(sd1).components[UNET.name]
    assert list(cross_attentions(unet.weights)) == wanted
    adapter = Checkpoint.open(save_ip_adapter(tmp_path, sd1)).components[IMAGE_ENCODER.name]
    assert image_attentions(adapter)[1] == ("ip_adapter.3.to_k_ip.weight", "ip_adapter.3.to_v_ip.weight")
    assert len(image_attentions(adapter)) == len(wanted)


def test_of_an_encoder_that_fits_and_one_that_does_not_that_is_taken(sd1: Path, tmp_path: Path) -> None:
    file = save_ip_adapter(tmp_path / "sdxl_models", sd1, "plus")
    other = tmp_path / "sdxl_models" / "image_encoder"
    save_image_encoder(tmp_path / "models" / "image_encoder")
    tiny.update(other / "config.json", hidden_size=40)
    checkpoint = Checkpoint.open(file)
    assert checkpoint.components[IMAGE_ENCODER.name].file.parent.samefile(tmp_path / "models" / "image_encoder")
    assert (about(checkpoint).purpose, about(checkpoint).architecture[:10]) == ("prompting", "plus/32/32")
    tiny.update(tmp_path / "models" / "image_encoder" / "config.json", hidden_size=48)
    with pytest.raises(CheckpointInvalidError, match=r"a hidden_size of 32, is not .* hidden_size is 40 and .* is 48"):
        Checkpoint.open(file)


def test_an_encoder_that_is_named_is_taken_wherever_it_lies(sd1: Path, tmp_path: Path) -> None:
    file = save_ip_adapter(tmp_path / "adapters", sd1)
    (tmp_path / "adapters" / "image_encoder").rename(tmp_path / "vision")
    with pytest.raises(CheckpointInvalidError, match=r"not in the folder .*; name its folder or file as image_encoder"):
        Checkpoint.open(file)
    named = Checkpoint.open(file, image_encoder=tmp_path / "vision")
    assert named.components[IMAGE_ENCODER.name].file == tmp_path / "vision" / "config.json"
    first = checkpoint_digests(named.source)
    tiny.replace_weights(tmp_path / "vision" / "model.safetensors")
    changed = Checkpoint.open(file, image_encoder=tmp_path / "vision")
    assert changed.fingerprint() != named.fingerprint() and checkpoint_digests(changed.source) != first
    (tmp_path / "whole").mkdir()
    (tmp_path / "vision").rename(tmp_path / "whole" / "image_encoder")
    within = Checkpoint.open(file, image_encoder=tmp_path / "whole")
    assert within.components[IMAGE_ENCODER.name].architecture == named.components[IMAGE_ENCODER.name].architecture


def test_what_is_named_and_is_none_for_it_is_refused(sd1: Path, tmp_path: Path) -> None:
    file, vision = save_ip_adapter(tmp_path, sd1), save_image_encoder(tmp_path / "vision")
    tiny.update(vision / "config.json", projection_dim=40)
    with pytest.raises(
        CheckpointInvalidError, match=r"asks for .* a projection_dim of 24, and not for .*vision, .* 40"
    ):
        Checkpoint.open(file, image_encoder=vision)
    with pytest.raises(CheckpointInvalidError, match="no image encoder: CLIP's vision model is wanted"):
        Checkpoint.open(file, image_encoder=sd1)
    for gone in (tmp_path / "gone", Path("/of no\0path")):
        with pytest.raises(CheckpointInvalidError, match="no such file or directory; it is named as image_encoder"):
            Checkpoint.open(file, image_encoder=gone)
    with pytest.raises(CheckpointInvalidError, match="a vision model 32 wide, of 3 layers, for 48 pixels: a file does"):
        Checkpoint.open(file, image_encoder=vision / "model.safetensors")
    with pytest.raises(CheckpointInvalidError, match=r"lacks vision_model\.embeddings\.patch_embedding\.weight"):
        Checkpoint.open(file, image_encoder=file)
    with pytest.raises(InvalidArgumentError, match=r"^image_encoder: .* is no IP-Adapter"):
        Checkpoint.open(sd1, image_encoder=vision)


@pytest.mark.parametrize("config", [VIT_H, VIT_BIG_G], ids=["ViT-H", "ViT-bigG"])
def test_a_file_of_a_known_encoder_is_what_its_folder_is(sd1: Path, tmp_path: Path, config: Mapping[str, Any]) -> None:
    from transformers import CLIPVisionConfig, CLIPVisionModelWithProjection

    with torch.device("meta"):
        model = CLIPVisionModelWithProjection(CLIPVisionConfig(**config))
    folder, alone = tmp_path / "vision", tmp_path / "clip_vision.safetensors"
    model.config.save_pretrained(folder)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    for file in (folder / "model.safetensors", alone):
        write_zeros(file, shapes, torch.float16)
    tensors = adapter_tensors(sd1, "plain")
    tensors["image_proj.proj.weight"] = torch.zeros(4 * 32, config["projection_dim"])
    save_file(tensors, tmp_path / "plain.safetensors")
    whole, told = (
        Checkpoint.open(tmp_path / "plain.safetensors", image_encoder=path).components[IMAGE_ENCODER.name]
        for path in (folder, alone)
    )
    assert artifact_key(told.architecture) == artifact_key(whole.architecture)
    assert told.weights.keys() == whole.weights.keys()


def test_its_digests_tell_of_the_encoder_too(sd1: Path, tmp_path: Path) -> None:
    file = save_ip_adapter(tmp_path, sd1)
    first = checkpoint_digests(Checkpoint.open(file).source)
    tiny.replace_weights(tmp_path / "image_encoder" / "model.safetensors")
    second = checkpoint_digests(Checkpoint.open(file).source)
    assert first.weights == second.weights and first.settings != second.settings


def test_what_is_pickled_and_what_is_in_diffusers_names_is_the_same(sd1: Path, tmp_path: Path) -> None:
    file = save_ip_adapter(tmp_path, sd1, "plus")
    nested: dict[str, dict[str, torch.Tensor]] = {"image_proj": {}, "ip_adapter": {}}
    for name, tensor in load_file(file).items():
        part, _, rest = name.partition(".")
        nested[part][rest] = tensor
    torch.save(nested, tmp_path / "plus.bin")
    one, other = (Checkpoint.open(each).components[IMAGE_ENCODER.name] for each in (file, tmp_path / "plus.bin"))
    assert one.architecture == other.architecture and one.weights.keys() == other.weights.keys()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"image_proj.latents": None, "image_proj.norm.weight": torch.ones(32)}, "of a kind that is not supported"),
        ({"ip_adapter.3.to_v_ip.weight": None}, r"asks for ip_adapter\.3\.to_v_ip\.weight .* is missing"),
        ({"ip_adapter.1.to_k_ip.weight": torch.ones(16, 24)}, r"ip_adapter\.1\.to_k_ip\.weight .* has shape"),
        ({"image_proj.norm_out.weight": None}, r"lacks image_proj\.norm_out\.weight"),
    ],
)
def test_what_is_wrong_is_named(
    sd1: Path, tmp_path: Path, change: dict[str, torch.Tensor | None], problem: str
) -> None:
    save_image_encoder(tmp_path / "image_encoder")
    tensors, file = {**adapter_tensors(sd1, "plus"), **change}, tmp_path / "changed.safetensors"
    save_file({name: tensor.clone() for name, tensor in tensors.items() if tensor is not None}, file)
    with pytest.raises(CheckpointInvalidError, match=problem):
        Checkpoint.open(file)


def test_one_without_an_encoder_and_one_for_another_unet_are_refused(sd1: Path, tmp_path: Path) -> None:
    adapter = Checkpoint.open(save_ip_adapter(tmp_path, sd1)).components[IMAGE_ENCODER.name]
    sdxl = Checkpoint.open(tiny.save_sdxl_checkpoint(tmp_path / "sdxl")).components[UNET.name]
    assert misfit(adapter, sdxl) == "has cross_attention_dim 32, and the checkpoint's UNet 80"
    (tmp_path / "image_encoder" / "config.json").unlink()
    with pytest.raises(CheckpointInvalidError, match=r"a projection_dim of 24, is not in the folder image_encoder"):
        Checkpoint.open(tmp_path / "plain.safetensors")

"""The image encoder's model gives diffusers' tokens through the adapter's matrices, whatever their type."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from tests import tiny
from tests.conftest import CACHE
from tests.e2e.ip_adapters.making import save_ip_adapter
from tests.parity.oracle import drawn
from triptych.checkpoint import Checkpoint
from triptych.checkpoint.families.ip_adapter import image_attentions
from triptych.contract import IMAGE_ENCODER
from triptych.engine import EngineSettings, load_engine
from triptych.errors import InvalidArgumentError
from triptych.stage import Batch
from triptych_encoder.images import ImageEncoderModel

PIXELS = np.asarray(drawn((90, 64), 0))[None]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image-encoder")
    return save_ip_adapter(folder, tiny.save_checkpoint(folder / "sd1"))


def model_of(file: Path) -> ImageEncoderModel:
    model = ImageEncoderModel()
    model.component, model.device = Checkpoint.open(file).components[IMAGE_ENCODER.name], "cpu"
    model.engine = load_engine("onnxruntime", model.component, EngineSettings(2, CACHE))
    return model


def asked(pixels: np.ndarray, *shown: int) -> Batch:
    return {"image": np.repeat(pixels, len(shown), axis=0), "shown": np.array(shown, np.uint8)[:, None]}


def test_keys_and_values_are_the_tokens_by_each_matrix(file: Path) -> None:
    from transformers import CLIPImageProcessorPil, CLIPVisionModelWithProjection

    model = model_of(file)
    ours = model.run(model.prepare(asked(PIXELS, 1, 0)))["image_prompt"]
    encoder = CLIPVisionModelWithProjection.from_pretrained(file.parent / "image_encoder")
    size = encoder.config.image_size
    pixels = CLIPImageProcessorPil(size=size, crop_size=size)(PIXELS[0], return_tensors="pt").pixel_values
    tensors = load_file(file)
    with torch.no_grad():
        embeds = encoder(pixels).image_embeds
        both = torch.cat([embeds, torch.zeros_like(embeds)])
        tokens = (both @ tensors["image_proj.proj.weight"].T + tensors["image_proj.proj.bias"]).reshape(2, 4, -1)
        norm = tensors["image_proj.norm.weight"], tensors["image_proj.norm.bias"]
        tokens = torch.nn.functional.layer_norm(tokens, tokens.shape[-1:], *norm)
    pairs = image_attentions(model.component)
    sides = [torch.cat([tokens @ tensors[pair[side]].T for pair in pairs], dim=-1) for side in range(2)]
    np.testing.assert_allclose(ours, torch.stack(sides, dim=1).numpy(), atol=2e-5, rtol=1e-4)
    assert np.abs(ours[0] - ours[1]).max() > 0.1


def test_what_lies_there_in_halves_is_widened(file: Path, tmp_path: Path) -> None:
    halves = {name: tensor.half() for name, tensor in load_file(file).items()}
    paths = {name: tmp_path / name / "plain.safetensors" for name in ("halves", "widened")}
    for name, path in paths.items():
        path.parent.mkdir()
        (path.parent / "image_encoder").symlink_to(file.parent / "image_encoder", target_is_directory=True)
        save_file({key: tensor if name == "halves" else tensor.float() for key, tensor in halves.items()}, path)
    ours, theirs = (
        model.run(model.prepare(asked(PIXELS, 1)))["image_prompt"] for model in map(model_of, paths.values())
    )
    assert ours.dtype == np.float32
    np.testing.assert_array_equal(ours, theirs)


def test_what_is_no_picture_is_refused_and_company_changes_no_bit(file: Path) -> None:
    model = model_of(file)
    with pytest.raises(InvalidArgumentError, match=r"^image: is 4 x 4 x 1, must be RGB"):
        model.prepare(asked(np.zeros((1, 4, 4, 1), np.uint8), 1))
    alone, together = (model.run(model.prepare(asked(PIXELS, *shown)))["image_prompt"] for shown in ((1,), (1, 0, 1)))
    assert alone.tobytes() == together[:1].tobytes() == together[2:].tobytes()

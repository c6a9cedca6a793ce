"""ControlNets from single files through the real servers: what their folder draws, and diffusers."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import ControlNetModel, StableDiffusionControlNetPipeline, UNet2DConditionModel
from safetensors.torch import save_file

from tests import tiny
from tests.conftest import CACHE, Served
from tests.e2e.serving import difference
from tests.loras import save_lora
from tests.parity.oracle import drawn
from tests.session.graphs import fill_cache
from tests.single_files import Pair, original_control_lora, original_control_net, save_pair
from triptych import Control
from triptych.errors import CheckpointInvalidError, InvalidArgumentError

TOLERANCE = 2
EDGES = drawn((64, 64), 0)
ASKED: dict[str, Any] = {"prompt": "a photo of a red fox", "num_inference_steps": 3, "width": 64, "height": 64}


@pytest.fixture(scope="module")
def pair(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    """A checkpoint of the proportions that single files have, registered as "proportioned"."""
    made = save_pair(tmp_path_factory.mktemp("pair"), "sd1")
    served.client.register_checkpoint("proportioned", made.file)
    yield made
    served.client.unregister_checkpoint("proportioned")


@pytest.fixture(scope="module")
def nets(served: Served, pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Path]]:
    """One ControlNet, registered by these names."""
    root = tmp_path_factory.mktemp("nets")
    folder = tiny.save_controlnet(root / "folder", pair.folder)
    fill_cache(CACHE, [pair.folder, folder])
    tensors = {
        name: each.contiguous() for name, each in original_control_net(ControlNetModel.from_pretrained(folder)).items()
    }
    paths = {"folder": folder, "pruned": root / "pruned.safetensors", "pickled": root / "pickled.pth"}
    save_file(tensors, paths["pruned"])
    torch.save({f"control_model.{name}": tensor for name, tensor in tensors.items()}, paths["pickled"])
    for name, path in paths.items():
        assert served.client.register_controlnet(name, path).purpose == "controlling"
    yield paths
    for name in paths:
        served.client.unregister_checkpoint(name)


def made(served: Served, *controls: Control, **more: Any) -> Any:
    return served.client.generate(checkpoint="proportioned", seed=3, **ASKED, controls=list(controls), **more)


def test_a_file_draws_what_its_folder_and_diffusers_draw(served: Served, pair: Pair, nets: dict[str, Path]) -> None:
    ours = {name: made(served, Control(name, EDGES)) for name in nets}
    assert difference(ours["folder"], ours["pruned"]) == difference(ours["folder"], ours["pickled"]) == 0
    assert difference(ours["folder"], made(served)) > 10
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net = ControlNetModel.from_single_file(str(nets["pruned"]), config=str(nets["folder"]), local_files_only=True)
        pipe = StableDiffusionControlNetPipeline.from_pretrained(pair.folder, controlnet=net)
    pipe.set_progress_bar_config(disable=True)
    theirs = pipe(image=EDGES, generator=torch.Generator("cpu").manual_seed(3), **ASKED).images[0]
    assert np.asarray(theirs).std() > 5
    assert np.abs(np.asarray(theirs, np.int16) - np.asarray(ours["pruned"].images[0], np.int16)).max() <= TOLERANCE


@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
def test_a_control_lora_stands_over_the_unets_weights(
    served: Served, pair: Pair, nets: dict[str, Path], tmp_path: Path, engine: str
) -> None:
    unet = UNet2DConditionModel.from_pretrained(pair.folder / "unet")
    net = ControlNetModel.from_unet(unet, conditioning_embedding_out_channels=(4, 8, 8, 12))
    tiny.make_tell(net)
    tensors = original_control_lora(net, unet)
    save_file(tensors, tmp_path / "lora.safetensors")
    net.save_pretrained(tmp_path / "sum")
    client = served.client
    assert client.register_controlnet("lora", tmp_path / "lora.safetensors").purpose == "controlling"
    client.register_controlnet("sum", tmp_path / "sum")
    plain = made(served, engine=engine)
    ours, whole = (made(served, Control(name, EDGES), engine=engine) for name in ("lora", "sum"))
    assert difference(ours, whole) <= 1 and difference(ours, plain) > 10
    assert difference(plain, made(served, engine=engine)) == 0
    client.unregister_checkpoint("lora")
    client.unregister_checkpoint("sum")


def test_what_is_no_control_net_is_refused_as_one(served: Served, pair: Pair, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^path: .* is Stable Diffusion 1.x and 2.x, for drawing and not"):
        served.client.register_controlnet("a-checkpoint", pair.file)
    lora = save_lora(tmp_path / "wash.safetensors", pair.folder)
    with pytest.raises(CheckpointInvalidError, match=r"it is a LoRA: triptych loras add NAME FILE"):
        served.client.register_controlnet("a-lora", lora)
    assert not {"a-checkpoint", "a-lora"} & {each.name for each in served.client.checkpoints()}

"""A checkpoint's files are exchanged while it is served: it goes on as it was, and no picture has parts of two."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tritonclient.grpc as triton
from PIL import Image

from tests.conftest import Served
from tests.e2e.serving import SIZE, difference
from tests.tiny import replace_weights, update
from triptych.errors import CheckpointChangedError
from triptych.sdk.events import Result

NAME = "changing"
REQUEST: dict[str, Any] = {
    "prompt": "a star", "checkpoint": NAME, "scheduler": "ddim", "num_inference_steps": 3, "seed": 1, **SIZE,
}  # fmt: skip
UNET, VAE = "unet/diffusion_pytorch_model.safetensors", "vae/diffusion_pytorch_model.safetensors"


@pytest.fixture
def folder(served: Served, checkpoints: dict[str, Path], tmp_path: Path) -> Iterator[Path]:
    """Of a loaded checkpoint."""
    copy = Path(shutil.copytree(checkpoints["sd1"], tmp_path / "changing"))
    served.client.register_checkpoint(NAME, copy, load=True)
    yield copy
    served.client.unregister_checkpoint(NAME)


def lose(served: Served, stage: str, model: str) -> None:
    """The stage's server forgets the model, or its twin's, as one that was started again has."""
    replica = next(replica for replica in served.client.server_info().replicas if replica.stage == stage)
    held = {f"{NAME}.{model}", f"{NAME}~.{model}"} & set(replica.models)
    with triton.InferenceServerClient(replica.address) as server:
        server.unload_model(held.pop())


def fresh(served: Served, folder: Path) -> Result:
    """The picture of the files that are there by now, under another name."""
    served.client.register_checkpoint("fresh", folder)
    try:
        return served.client.generate(**{**REQUEST, "checkpoint": "fresh"})
    finally:
        served.client.unregister_checkpoint("fresh")


@pytest.mark.parametrize(
    ("file", "stage", "model"), [(UNET, "unet", "unet"), (VAE, "unet", "unet"), (UNET, "vae", "vae_decoder")]
)
def test_a_stage_that_opens_it_again_refuses_until_it_is_registered_anew(
    served: Served, folder: Path, file: str, stage: str, model: str
) -> None:
    client = served.client
    before = client.generate(**REQUEST)
    (folder / file).rename(folder / "kept")
    shutil.copy(folder / "kept", folder / file)
    replace_weights(folder / file)
    assert difference(client.generate(**REQUEST), before) == 0  # it is mapped

    lose(served, stage, model)
    for _ in range(2):
        with pytest.raises(CheckpointChangedError, match="Register it again") as caught:
            client.generate(**REQUEST)
        assert caught.value.metadata["file"] == str(folder / file)

    (folder / file).rename(folder / "new")
    (folder / "kept").rename(folder / file)  # put back
    assert difference(client.generate(**REQUEST), before) == 0
    (folder / "new").rename(folder / file)

    client.register_checkpoint(NAME, folder)
    after = client.generate(**REQUEST)
    assert difference(after, before) > 2 and difference(after, fresh(served, folder)) == 0


def test_what_is_loaded_on_demand_is_of_the_same_version(served: Served, folder: Path) -> None:
    client = served.client
    replace_weights(folder / VAE)
    image = Image.new("RGB", (64, 64), "teal")
    with pytest.raises(CheckpointChangedError, match="vae/"):
        client.generate(**REQUEST, image=image)
    client.generate(**REQUEST)  # text-to-image needs nothing more
    client.register_checkpoint(NAME, folder)
    assert client.generate(**REQUEST, image=image).images


def test_another_engine_takes_what_is_there_by_now_and_whole(served: Served, folder: Path) -> None:
    client = served.client
    before = client.generate(**REQUEST)
    replace_weights(folder / UNET)
    client.register_checkpoint(NAME, folder, engine="vae=torch")
    after = client.generate(**REQUEST)
    assert difference(after, before) > 2 and difference(after, fresh(served, folder)) <= 2


def test_configurations_and_tokenizers_are_noticed_too(served: Served, folder: Path) -> None:
    client = served.client
    update(folder / "scheduler" / "scheduler_config.json", _class_name="DDIMScheduler")
    update(folder / "model_index.json", scheduler=["diffusers", "DDIMScheduler"])
    assert client.register_checkpoint(NAME, folder).scheduler == "ddim"
    lose(served, "unet", "unet")
    client.generate(**REQUEST)
    update(folder / "tokenizer" / "tokenizer_config.json", more=1)
    lose(served, "encoder", "encoder")
    with pytest.raises(CheckpointChangedError, match=r"tokenizer_config\.json"):
        client.generate(**{**REQUEST, "prompt": "a circle that was not encoded before"})

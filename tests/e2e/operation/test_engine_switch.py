"""The engines of a checkpoint are exchanged while it serves; no request fails or hears of it."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from tests.conftest import Served
from tests.e2e.serving import SIZE, difference, wait_for
from triptych.errors import InvalidArgumentError, TriptychError
from triptych.sdk.events import Result

NAME = "switching"
REQUEST: dict[str, Any] = {"prompt": "a star", "scheduler": "ddim", "num_inference_steps": 3, "seed": 1, **SIZE}


def held(served: Served) -> list[str]:
    models = [model for replica in served.client.server_info().replicas for model in replica.models]
    return sorted(model for model in models if model.startswith(NAME))


def loads(served: Served) -> list[tuple[str, str]]:
    """Model and engine of every load of this checkpoint, in order, as the stages logged them.

    Triton writes the end of a line by itself, so that ours may come before it.
    """
    found = []
    for row in served.stack.processes()[:3]:
        for line in Path(row.log_path).read_text().splitlines():
            _, brace, rest = line.partition("{")
            record = json.loads(brace + rest) if "triptych.stage" in line else {}
            if record.get("message") == "model loaded" and record["model"].startswith(NAME):
                found.append((record["model"], record["engine"]))
    return found


@pytest.fixture
def switching(served: Served, checkpoints: dict[str, Path]) -> Iterator[Path]:
    """A loaded checkpoint, unregistered at the end."""
    served.client.register_checkpoint(NAME, checkpoints["sd1"], engine="onnxruntime", load=True)
    yield checkpoints["sd1"]
    served.client.unregister_checkpoint(NAME)
    assert not held(served)


def test_there_and_back_while_requests_come(served: Served, switching: Path) -> None:
    client = served.client
    expected = client.generate(**REQUEST, checkpoint=NAME)
    pictures: list[Result] = []
    failures: list[Exception] = []
    over = threading.Event()

    def keep_asking() -> None:
        while not over.is_set():
            try:
                pictures.append(client.generate(**REQUEST, checkpoint=NAME))
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=keep_asking) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for engine, models in (
            ("torch", [f"{NAME}~.encoder", f"{NAME}~.unet", f"{NAME}~.vae_decoder"]),
            ("onnxruntime", [f"{NAME}.encoder", f"{NAME}.unet", f"{NAME}.vae_decoder"]),
        ):
            one = client.register_checkpoint(NAME, switching, engine=engine)
            assert (one.engine, one.state) == (engine, "loaded")
            assert held(served) == models
            seen = len(pictures)
            wait_for(lambda seen=seen: len(pictures) > seen + 4 or failures)
    finally:
        over.set()
        for thread in threads:
            thread.join(60)
    assert not failures
    assert len(pictures) > 8
    assert max(difference(picture, expected) for picture in pictures) <= 1
    assert loads(served) == [
        load
        for model in ("encoder", "unet", "vae_decoder")
        for load in (
            (f"{NAME}.{model}", "onnxruntime"),
            (f"{NAME}~.{model}", "torch"),
            (f"{NAME}.{model}", "onnxruntime"),
        )
    ]


def test_an_engine_that_cannot_be_had_changes_nothing(served: Served, switching: Path) -> None:
    client = served.client
    before = held(served)
    with pytest.raises(TriptychError):
        client.register_checkpoint(NAME, switching, engine="unet=tensorrt")
    assert held(served) == before
    assert [(one.engine, one.state) for one in client.checkpoints() if one.name == NAME] == [("onnxruntime", "loaded")]
    client.generate(**REQUEST, checkpoint=NAME)


def test_a_variant_is_chosen_and_exchanged_like_an_engine(
    served: Served, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(checkpoints["sd1"], tmp_path / "with-variant"))
    file = folder / "unet" / "diffusion_pytorch_model.safetensors"
    save_file({name: 1.5 * tensor for name, tensor in load_file(file).items()}, file.with_suffix(".big.safetensors"))
    client = served.client
    one = client.register_checkpoint(NAME, folder, load=True)
    try:
        plain = client.generate(**REQUEST, checkpoint=NAME)
        assert one.variant == "" and client.register_checkpoint(NAME, folder, variant="big").variant == "big"
        assert difference(client.generate(**REQUEST, checkpoint=NAME), plain) > 2
        with pytest.raises(InvalidArgumentError, match="there are: big"):
            client.register_checkpoint(NAME, folder, variant="fp16")
        assert client.register_checkpoint(NAME, folder).variant == "big"
        assert client.register_checkpoint(NAME, folder, variant="").variant == ""
        assert difference(client.generate(**REQUEST, checkpoint=NAME), plain) == 0
    finally:
        client.unregister_checkpoint(NAME)

"""Checkpoints registered, loaded, unloaded and broken while the real servers serve."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch

import triptych
from tests.conftest import Served
from tests.e2e.serving import SIZE, difference, wait_for
from triptych.errors import (
    AlreadyExistsError,
    CheckpointInvalidError,
    InvalidArgumentError,
    NotDownloadedError,
    NotFoundError,
)
from triptych.sdk.catalog import Checkpoint
from triptych.sdk.events import Result, Step

REQUEST: dict[str, Any] = {"prompt": "a star", "scheduler": "ddim", "num_inference_steps": 3, "seed": 1, **SIZE}


def known(client: triptych.Client, name: str) -> Checkpoint | None:
    return {one.name: one for one in client.checkpoints()}.get(name)


def state(client: triptych.Client, name: str) -> str:
    one = known(client, name)
    return one.state if one else ""


def held(client: triptych.Client, name: str) -> list[str]:
    models = [model for replica in client.server_info().replicas for model in replica.models]
    return [model for model in models if model.startswith(f"{name}.")]


@pytest.fixture
def spare(served: Served, checkpoints: dict[str, Path]) -> Iterator[str]:
    """A checkpoint to play with, unregistered at the end."""
    served.client.register_checkpoint("spare", checkpoints["sd1"])
    yield "spare"
    if known(served.client, "spare"):
        served.client.unregister_checkpoint("spare")


def test_listed(served: Served, checkpoints: dict[str, Path]) -> None:
    one = known(served.client, "sd2")
    assert one is not None
    assert (one.path, one.state, one.engine) == (str(checkpoints["sd2"]), "loaded", "onnxruntime")
    assert (one.family, one.scheduler, one.default_width, one.vae_scale_factor) == ("stable-diffusion", "ddim", 64, 8)
    files = [*checkpoints["sd2"].glob("*/*.safetensors")]
    assert 0 < one.weights_bytes <= sum(file.stat().st_size for file in files)


def test_load_and_unload(served: Served, spare: str) -> None:
    client = served.client
    assert state(client, spare) == "registered" and not held(client, spare)
    assert client.load_checkpoint(spare).state == "loaded"
    assert client.load_checkpoint(spare).state == "loaded"
    assert len(held(client, spare)) == 3
    before = client.generate(**REQUEST, checkpoint=spare)
    assert client.unload_checkpoint(spare).state == "registered"
    assert client.unload_checkpoint(spare).state == "registered"
    assert not held(client, spare)
    # A request loads it by itself.
    assert difference(before, client.generate(**REQUEST, checkpoint=spare)) == 0
    assert state(client, spare) == "loaded"
    client.unregister_checkpoint(spare)
    assert known(client, spare) is None and not held(client, spare)
    with pytest.raises(NotFoundError):
        client.unregister_checkpoint(spare)


def test_unloading_waits_for_running_requests(served: Served, spare: str) -> None:
    client = served.client
    expected = client.generate(**REQUEST | {"num_inference_steps": 150}, checkpoint=spare)
    events = client.stream(**REQUEST | {"num_inference_steps": 150}, checkpoint=spare)
    for event in events:
        if isinstance(event, Step):
            break
    unloading = threading.Thread(target=client.unload_checkpoint, args=(spare,))
    unloading.start()
    wait_for(lambda: state(client, spare) == "unloading")
    *_, result = events
    assert isinstance(result, Result) and difference(result, expected) == 0
    unloading.join(60)
    assert state(client, spare) == "registered"


def test_unregistering_waits_too_and_later_requests_hear_of_it(served: Served, spare: str) -> None:
    client = served.client
    events = client.stream(**REQUEST | {"num_inference_steps": 150}, checkpoint=spare)
    for event in events:
        if isinstance(event, Step):
            break
    failures: list[Exception] = []

    def later() -> None:
        try:
            client.generate(**REQUEST, checkpoint=spare)
        except NotFoundError as error:
            failures.append(error)

    threads = [threading.Thread(target=client.unregister_checkpoint, args=(spare,)), threading.Thread(target=later)]
    threads[0].start()
    wait_for(lambda: state(client, spare) == "unloading")
    threads[1].start()
    *_, result = events
    assert isinstance(result, Result)
    for thread in threads:
        thread.join(60)
    assert failures and not held(client, spare)


def test_the_same_name(served: Served, checkpoints: dict[str, Path], spare: str) -> None:
    assert served.client.register_checkpoint(spare, checkpoints["sd1"]).name == spare
    with pytest.raises(AlreadyExistsError, match="unregister it first"):
        served.client.register_checkpoint(spare, checkpoints["sd2"])
    with pytest.raises(AlreadyExistsError):
        served.client.register_checkpoint(spare, checkpoints["sd2"], engine="torch")
    # Other engines are no other checkpoint; what is not loaded stays so.
    one = served.client.register_checkpoint(spare, checkpoints["sd1"], engine="vae=torch,encoder=onnxruntime")
    assert (one.engine, one.state) == ("encoder=onnxruntime,vae=torch", "registered")


@pytest.mark.parametrize("name", ["../x", "", "a/b", ".hidden", "x" * 65, "a b", "a\n", "-x"])
def test_bad_names(served: Served, checkpoints: dict[str, Path], name: str) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        served.client.register_checkpoint(name, checkpoints["sd1"])
    assert caught.value.metadata == {"field": "name"}


@pytest.mark.parametrize(
    "path", ["./relative", "/no/such/path", "/a\x00b", "", "a/b/c", "x" * 300, f"/{'x' * 300}", "word " * 3_000]
)
def test_bad_paths(served: Served, path: str) -> None:
    with pytest.raises(InvalidArgumentError):
        served.client.register_checkpoint("bad-path", path)
    assert known(served.client, "bad-path") is None


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("https://hub.example/me/model", "download the whole repository"),
        ("/models/v1-5-pruned.safetensors", "no such file or directory"),
        ("v1-5.ckpt", "must be absolute"),
        (__file__, "not a safetensors file"),
    ],
)
def test_what_is_no_checkpoint_is_called_what_it_is(served: Served, path: str, said: str) -> None:
    with pytest.raises(InvalidArgumentError, match=said):
        served.client.register_checkpoint("bad-path", path)


def test_a_hubs_checkpoint_that_is_not_here_says_what_to_run(served: Served) -> None:
    with pytest.raises(
        NotDownloadedError, match=r"hf download me/tiny --revision v1 --include model_index\.json"
    ) as caught:
        served.client.register_checkpoint("bad-path", "me/tiny@v1", variant="fp16")
    assert caught.value.metadata["field"] == "path" and "fp16" in caught.value.message
    assert known(served.client, "bad-path") is None


def test_bad_engine(served: Served, checkpoints: dict[str, Path]) -> None:
    with pytest.raises(InvalidArgumentError, match="onnxruntime, torch") as caught:
        served.client.register_checkpoint("bad-engine", checkpoints["sd1"], engine="no-such")
    assert caught.value.metadata == {"field": "engine"}
    for engine, problem in {
        "text=torch": "'text' in 'text=torch' is not one of the stages encoder, unet, vae",
        "unet=torch,unet=torch": "names unet twice",
        "unet=": "'' is not one of onnxruntime, torch",
    }.items():
        with pytest.raises(InvalidArgumentError, match=problem):
            served.client.register_checkpoint("bad-engine", checkpoints["sd1"], engine=engine)


LOST = "mid_block.resnets.0.conv1.weight"
UNET_FILE = Path("unet", "diffusion_pytorch_model.safetensors")


@pytest.fixture
def broken(checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    """A checkpoint that lacks a tensor, which is noticed when the UNet loads it."""
    path = Path(shutil.copytree(checkpoints["sd1"], tmp_path / "broken"))
    tensors = safetensors.torch.load_file(path / UNET_FILE)
    del tensors[LOST]
    safetensors.torch.save_file(tensors, path / UNET_FILE)
    return path


def test_registering_with_a_load_that_fails_registers_nothing(served: Served, broken: Path) -> None:
    before = served.client.checkpoints()
    with pytest.raises(CheckpointInvalidError, match=LOST):
        served.client.register_checkpoint("broken", broken, load=True)
    assert served.client.checkpoints() == before and not held(served.client, "broken")


@pytest.mark.parametrize("engine", ["onnxruntime", "unet=torch"])
def test_a_tensor_that_only_loading_misses(
    served: Served, checkpoints: dict[str, Path], broken: Path, engine: str
) -> None:
    client = served.client
    assert client.register_checkpoint("broken", broken, engine=engine).state == "registered"
    try:
        with pytest.raises(CheckpointInvalidError, match=LOST) as caught:
            client.generate(**REQUEST, checkpoint="broken")
        assert caught.value.metadata["tensor"] == LOST
        one = known(client, "broken")
        assert one is not None and one.state == "failed" and LOST in one.error
        assert not held(client, "broken")
        client.generate(**REQUEST, checkpoint="sd1")
        # Mended, it loads.
        shutil.copyfile(checkpoints["sd1"] / UNET_FILE, broken / UNET_FILE)
        assert client.load_checkpoint("broken").state == "loaded"
        client.generate(**REQUEST, checkpoint="broken")
    finally:
        client.unregister_checkpoint("broken")


def test_new_weights_under_an_old_name_make_new_pictures(
    served: Served, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    """Nothing that depends on weights outlives an unload: no conditioning, no cached prompt."""
    changing = Path(shutil.copytree(checkpoints["sd1"], tmp_path / "changing"))
    client = served.client
    client.register_checkpoint("changing", changing)
    try:
        first = client.generate(**REQUEST, checkpoint="changing")
        file = changing / "text_encoder" / "model.safetensors"
        tensors = safetensors.torch.load_file(file)
        safetensors.torch.save_file({name: 2 * tensor for name, tensor in tensors.items()}, file)
        client.unload_checkpoint("changing")
        second = client.generate(**REQUEST, checkpoint="changing")
        assert second.timings.encoder.calls == 1
        assert difference(first, second) > 0
    finally:
        client.unregister_checkpoint("changing")


def exporting(served: Served) -> list[str]:
    """The exports under way in the session's own stages."""
    replicas = {str(status.pid) for status in served.stack.processes()}
    parents, exporters = {}, []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parents[folder.name] = (folder / "stat").read_text(errors="replace").rpartition(") ")[2].split()[1]
            exporters += [folder.name] * (b"triptych.engine.exporter" in (folder / "cmdline").read_bytes())
        except OSError:  # ended meanwhile
            continue
    return [one for one in exporters if parents.get(parents.get(one, "")) in replicas]


def test_an_export_ends_when_nobody_wants_it(served: Served, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    new = Path(shutil.copytree(checkpoints["sd1"], tmp_path / "new"))
    config = new / "unet" / "config.json"
    # An architecture that no cache has: each export of it is given up.
    config.write_text(json.dumps(json.loads(config.read_text()) | {"norm_eps": 3e-5}))
    client = served.client
    client.register_checkpoint("new", new)
    with ThreadPoolExecutor(1) as threads:
        loading = threads.submit(client.load_checkpoint, "new")
        wait_for(lambda: exporting(served), what="the export")
        client.unregister_checkpoint("new")
        assert not exporting(served) and not held(client, "new") and known(client, "new") is None
        with pytest.raises(NotFoundError, match="'new' was unregistered"):
            loading.result(60)
    client.generate(**REQUEST, checkpoint="sd1")


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [("unet", "conv_in.weight", float("nan")), ("vae", "decoder.conv_out.bias", float("-inf"))],
)
def test_weights_that_are_no_numbers_are_found_at_load(
    served: Served, checkpoints: dict[str, Path], tmp_path: Path, part: str, name: str, value: float
) -> None:
    broken = with_value(checkpoints["sd1"], tmp_path / "broken", f"{part}/diffusion_pytorch_model", name, value)
    client = served.client
    client.register_checkpoint("broken", broken)
    try:
        with pytest.raises(CheckpointInvalidError, match="computes NaN or infinite numbers") as caught:
            client.load_checkpoint("broken")
        assert caught.value.metadata["file"] == str(broken / part)
    finally:
        client.unregister_checkpoint("broken")


def test_one_word_that_is_no_number_is_a_warning_where_it_is_used(
    served: Served, checkpoints: dict[str, Path], tmp_path: Path
) -> None:
    name = "text_model.embeddings.token_embedding.weight"
    row = json.loads((checkpoints["sd1"] / "tokenizer" / "vocab.json").read_text())["star</w>"]
    broken = with_value(checkpoints["sd1"], tmp_path / "broken", "text_encoder/model", name, float("nan"), row)
    client = served.client
    client.register_checkpoint("broken", broken)
    try:
        for _ in range(2):  # the second time the encoder's answer is remembered
            (warning,) = client.generate(**REQUEST, checkpoint="broken").warnings
            assert "the encoder computed NaN" in warning
        assert client.generate(**REQUEST | {"prompt": "a square"}, checkpoint="broken").warnings == []
    finally:
        client.unregister_checkpoint("broken")


def with_value(source: Path, copy: Path, file: str, name: str, value: float, row: int = 0) -> Path:
    """A copy of the checkpoint with one row of a tensor made of that value."""
    path = Path(shutil.copytree(source, copy)) / f"{file}.safetensors"
    tensors = safetensors.torch.load_file(path)
    name = name if name in tensors else name.removeprefix("text_model.")
    tensors[name][row] = value
    safetensors.torch.save_file(tensors, path)
    return copy


def test_a_configuration_that_cannot_be_built(served: Served, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    odd = Path(shutil.copytree(checkpoints["sd1"], tmp_path / "odd"))
    config = odd / "unet" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"act_fn": "no-such-function"}))
    client = served.client
    client.register_checkpoint("odd", odd)
    try:
        with pytest.raises(triptych.errors.FailedPreconditionError, match="no-such-function"):
            client.load_checkpoint("odd")
        assert state(client, "odd") == "failed"
    finally:
        client.unregister_checkpoint("odd")

"""A picture says how it was made, and is made again of that: the same file, or it is told what is otherwise."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from safetensors.torch import save_file

import triptych
from tests.conftest import Served
from tests.e2e.serving import SIZE
from tests.loras import save_lora
from tests.tiny import replace_weights
from tests.upscalers import rrdb
from triptych.checkpoint.identity.digests import tensors_digest
from triptych.cli.main import main
from triptych.contract.processor import processor_kind
from triptych.errors import NotFoundError
from triptych.sdk.reading.settling import read_request

REQUEST: dict[str, Any] = {
    "prompt": "a red circle", "checkpoint": "sd1", "scheduler": "euler_ancestral", "num_inference_steps": 3, "seed": 1,
    **SIZE,
}  # fmt: skip
REQUESTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "unguided JPEG": {"guidance_scale": 1.0, "image_format": "jpeg", "quality": 60},
    "random seed, WebP": {"seed": None, "image_format": "webp"},
    "refined": {
        "checkpoint": "sdxl", "refiner": "refiner", "refiner_start": 0.5, "original_size": (80, 0), "clip_skip": 1,
        "negative_prompt": "blue",
    },
}  # fmt: skip


@pytest.mark.parametrize("name", REQUESTS)
def test_what_a_picture_says_makes_the_same_file(served: Served, name: str) -> None:
    first = served.client.generate(**REQUEST | REQUESTS[name])
    told = served.client.request_from(first.files[0])
    assert (told.left_out, told.origin, told.index) == ([], "triptych", 0)
    assert served.client.generate(**told.parameters).files == first.files


def test_each_picture_with_a_seed_of_its_own_is_made_alone(served: Served) -> None:
    many = served.client.generate(**REQUEST | {"seed": [5, 6, 7], "num_images_per_prompt": 3})
    told = served.client.request_from(many.images[1])  # as PIL has it
    assert (told.parameters["seed"], told.parameters["num_images_per_prompt"]) == (6, 1)
    assert served.client.generate(**told.parameters).files == many.files[1:2]


def test_one_of_a_batch_is_made_with_the_batch(served: Served) -> None:
    many = served.client.generate(**REQUEST | {"num_images_per_prompt": 2})

    async def again() -> bytes:
        async with triptych.AsyncClient(served.stack.address) as client:
            told = await client.request_from(many.files[1])
            return (await client.generate(**told.parameters)).files[told.index]

    assert asyncio.run(again()) == many.files[1]


def test_a_picture_of_a_picture_needs_that(served: Served) -> None:
    image = Image.linear_gradient("L").resize((64, 64))
    first = served.client.generate(**REQUEST | {"image": image, "strength": 0.7})
    told = served.client.request_from(first.files[0])
    assert told.files.keys() == {"image"} and told.left_out[0].startswith("image: is not in the picture")
    assert served.client.generate(**told.parameters, image=image).files == first.files


def test_a_picture_that_was_only_enlarged(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "tiny.safetensors"
    save_file(rrdb(2, unshuffled=True), file)
    network = served.client.register_checkpoint("told-upscaler", file, load=True, with_hash=True)
    try:
        images = [Image.linear_gradient("L").resize((24, 16)), Image.radial_gradient("L").resize((20, 20))]
        first = served.client.upscale(images, scale=2, upscaler="told-upscaler", image_format="webp")
        told = served.client.request_from(first.files[1])
        assert told.made_of["checkpoints"]["told-upscaler"]["weights"] == network.sha256
        assert told.made_of["models"]["told-upscaler.upscaler"][0]["engine"] == "onnxruntime"
        assert served.client.generate(**told.parameters, image=images[1]).files == first.files[1:]
        drawn = served.client.generate(**REQUEST, upscale={"scale": 2, "upscaler": "told-upscaler"})
        assert read_request(drawn.files[0]).made_of["checkpoints"].keys() == {"sd1", "told-upscaler"}
    finally:
        served.client.unregister_checkpoint("told-upscaler")


def test_what_it_was_made_of(served: Served, tmp_path: Path) -> None:
    pictures = {
        engine: served.client.generate(**REQUEST | {"checkpoint": name}).files[0]
        for engine, name in (("onnxruntime", "sd1"), ("torch", "sd1-torch"))
    }
    for engine, picture in pictures.items():
        models = read_request(picture).made_of["models"]
        assert len(models) == 3 and not any("~" in name for name in models)
        for model in models.values():
            (about,) = model
            assert (about["engine"], about["precision"], about["device"]) == (engine, "fp32", "cpu")
            assert about[engine] and about["threads"] > 0 and about["processor"] == processor_kind()
            assert ("graph" in about) is (engine == "onnxruntime")
    told = read_request(pictures["onnxruntime"]).made_of["checkpoints"]["sd1"]
    (known,) = [each for each in served.client.checkpoints() if each.name == "sd1"]
    assert told["weights"] == known.sha256 and len(told["settings"]) == 64


@pytest.fixture
def verify(served: Served, monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    monkeypatch.setenv("TRIPTYCH_ADDRESS", served.stack.address)
    return lambda *arguments: main(["verify", *arguments])


def test_a_picture_is_verified_until_its_checkpoint_is_another(
    served: Served,
    checkpoints: dict[str, Path],
    tmp_path: Path,
    verify: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = Path(shutil.copytree(checkpoints["sd1"], tmp_path / "copy"))
    file = tmp_path / "a.png"
    replace_weights(folder / "vae" / "diffusion_pytorch_model.safetensors")  # else it is that other one by content
    served.client.register_checkpoint("remade", folder, load=True)
    try:
        file.write_bytes(served.client.generate(**REQUEST | {"checkpoint": "remade"}).files[0])
        assert verify(str(file)) == 0
        assert capsys.readouterr().out == f"{file}: the same file\n"
        with Image.open(file) as image:
            text = image.info["triptych"]
            info = PngInfo()
            info.add_itxt("triptych", text.replace('"threads":', '"threads":1'))
            image.save(tmp_path / "b.png", pnginfo=info)
        assert verify(str(tmp_path / "b.png")) == 0
        out = capsys.readouterr().out
        assert "b.png: the same pixels\n" in out and "models.remade.unet.threads: 1" in out
        copy = Path(shutil.copytree(folder, tmp_path / "too"))
        replace_weights(folder / "unet" / "diffusion_pytorch_model.safetensors")
        served.client.register_checkpoint("remade", folder, load=True, with_hash=True)
        assert verify(str(file), str(tmp_path / "b.png")) == 1
        out = capsys.readouterr().out
        assert "pixels differ, by at most" in out and "  checkpoints.remade.weights: " in out
        assert "checkpoint: 'remade' has other weights here" in out
        served.client.register_checkpoint("remade-too", copy, load=True, with_hash=True)
        assert verify(str(file)) == 0
        assert capsys.readouterr().out == f"{file}: the same pixels\n  checkpoint: 'remade' is 'remade-too' here\n"
    finally:
        for name in ("remade", "remade-too"):
            with contextlib.suppress(NotFoundError):
                served.client.unregister_checkpoint(name)


def test_a_web_uis_picture_finds_its_checkpoint_by_the_hash(served: Served) -> None:
    served.client.generate(**REQUEST)  # waits for the hash
    (known,) = [each for each in served.client.checkpoints() if each.name == "sd1"]
    pairs = f"Steps: 3, Sampler: Euler a, CFG scale: 7.5, Seed: 1, Size: 64x64, Model hash: {known.short_hash}"
    image = Image.new("RGB", (8, 8))
    image.info["parameters"] = f"a red circle\n{pairs}, Model: v1-5, RNG: CPU, Version: v1.9.3"
    told = served.client.request_from(image)
    assert told.left_out == ["checkpoint: 'v1-5' is 'sd1' here"]
    ours = served.client.generate(**REQUEST | {"negative_prompt": ""})
    assert served.client.generate(**told.parameters).images[0].tobytes() == ours.images[0].tobytes()


def test_a_lora_is_told_by_its_digests(served: Served, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    file = save_lora(tmp_path / "ink.safetensors", checkpoints["sd1"], models=("unet",), only="attn")
    lora = served.client.add_lora("told-ink", file)
    try:
        first = served.client.generate(**REQUEST | {"prompt": "a star <lora:told-ink:0.5>"})
        told = served.client.request_from(first.files[0])
        assert told.made_of["loras"] == {"told-ink": lora.digest}
        assert f'Lora hashes: "told-ink: {tensors_digest(file)[:12]}"' in first.images[0].info["parameters"]
        assert served.client.generate(**told.parameters).files == first.files
    finally:
        served.client.remove_lora("told-ink")

"""Single files: recognised from names and shapes, every tensor the folder's own, the rest refused by what it is."""

from __future__ import annotations

import contextlib
import json
import math
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

from tests.single_files import KINDS, Pair, save_pair
from triptych.checkpoint import Checkpoint
from triptych.checkpoint.component import Component, Part
from triptych.checkpoint.safetensors import map_tensor, read_header
from triptych.checkpoint.sources import open_source
from triptych.checkpoint.sources.prediction import EPSILON, UNDECIDED, VELOCITY
from triptych.contract import ENCODER, ENCODER_2, UNET, VAE_DECODER
from triptych.engine.weights import held_weights
from triptych.errors import CheckpointInvalidError
from triptych_orchestrator.library.entry import Entry

PARTS = {
    "text_encoder": (ENCODER.name, "CLIPTextModel"),
    "text_encoder_2": (ENCODER_2.name, "CLIPTextModelWithProjection"),
    "unet": (UNET.name, "UNet2DConditionModel"),
    "vae": (VAE_DECODER.name, "AutoencoderKL"),
}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Pair]:
    """Each kind's, made when first asked for."""
    root, made = tmp_path_factory.mktemp("pairs"), {}

    def pair(name: str) -> Pair:
        if name not in made:
            made[name] = save_pair(root, name)
        return made[name]

    return pair


def opened(path: Path, part: str) -> Component:
    model, class_name = PARTS[part]
    source = open_source(path)
    return Component.open(source, source.index(), model, Part(part, class_name), source.weights)


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_the_folder_once_more(pairs: Callable[[str], Pair], kind: str) -> None:
    pair = pairs(kind)
    folder, file = (open_source(path) for path in (pair.folder, pair.file))
    said, told = folder.index().values, file.index().values
    kept = ("_class_name", "requires_aesthetics_score", "force_zeros_for_empty_prompt")
    assert {key: said.get(key) for key in (*kept, *PARTS)} == {key: told.get(key) for key in (*kept, *PARTS)}
    for part in PARTS:
        if told.get(part, [None, None])[0] is None:
            continue
        ours, theirs = opened(pair.file, part), opened(pair.folder, part)
        assert ours.architecture == theirs.architecture
        maps: dict[Path, Any] = {}
        for name, info in theirs.weights.items():
            assert np.array_equal(map_tensor(ours.weights[name], maps), map_tensor(info, maps)), name
        assert ours.config.get("scaling_factor") == theirs.config.get("scaling_factor")
        assert ours.config.get("sample_size") == theirs.config.get("sample_size") or part == "vae"


def test_a_second_version_with_transformers_text_encoder(pairs: Callable[[str], Pair], tmp_path: Path) -> None:
    """Which is how 1.x has its own."""
    pair = pairs("sd2")

    def change(tensors: dict[str, Any]) -> None:
        without("cond_stage_model.")(tensors)
        encoder = load_file(pair.folder / "text_encoder" / "model.safetensors")
        tensors.update({f"cond_stage_model.transformer.{name}": array for name, array in encoder.items()})

    file = rewritten(pair.file, tmp_path / "x.safetensors", change)
    ours, theirs = open_source(file), open_source(pair.file)
    for part in ("unet", "vae", "text_encoder"):
        assert ours.config(part).values == theirs.config(part).values
    assert ours.index().values == theirs.index().values and ours.prediction().type == UNDECIDED
    assert ours.tokenizer_file("tokenizer", "tokenizer_config.json") == theirs.tokenizer_file(
        "tokenizer", "tokenizer_config.json"
    )
    text, expected = opened(file, "text_encoder").weights, opened(pair.folder, "text_encoder").weights
    assert expected and all(
        np.array_equal(map_tensor(text[name], {}), map_tensor(expected[name], {})) for name in expected
    )


@pytest.mark.parametrize("kind", ["sd1", "sd2", "sdxl"])
def test_what_is_read_lies_in_the_file(pairs: Callable[[str], Pair], kind: str) -> None:
    checkpoint = Checkpoint.open(pairs(kind).file)
    assert checkpoint.unaligned_bytes == 0
    maps: dict[Path, Any] = {}
    copied = [
        (name, array.nbytes)
        for component in checkpoint.components.values()
        for name, array in held_weights(component, component.weights, maps)
        if not np.shares_memory(array, np.frombuffer(maps[component.place], np.uint8))
    ]
    # What is not even float: position ids. What lies transposed: the second text encoder's projection.
    expected = {"embeddings.position_ids"} if kind != "sd2" else set()
    assert {name for name, _ in copied} == expected | ({"text_projection.weight"} if kind == "sdxl" else set())


def rewritten(file: Path, target: Path, change: Callable[[dict[str, Any]], object], **metadata: str) -> Path:
    """A copy of a single file whose tensors were changed."""
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, target, metadata)
    return target


def without(*prefixes: str) -> Callable[[dict[str, Any]], object]:
    def change(tensors: dict[str, Any]) -> None:
        for name in [name for name in tensors if name.startswith(prefixes)]:
            del tensors[name]

    return change


def refused(path: Path) -> str:
    with pytest.raises(CheckpointInvalidError) as caught:
        Checkpoint.open(path)
    assert caught.value.metadata["file"].startswith(str(path.parent))
    return caught.value.message


@pytest.mark.parametrize(
    ("kind", "prefixes", "named"),
    [
        ("sd1", ("first_stage_model.",), "lacks the VAE"),
        ("sd1", ("cond_stage_model.",), "lacks the text encoder"),
        ("sdxl", ("conditioner.embedders.0.",), "lacks text_encoder of Stable Diffusion XL base"),
        ("sd1", ("model.diffusion_model.out.2.weight",), "lacks model.diffusion_model.out.2.weight"),
        ("sd1", ("first_stage_model.encoder.down.0.",), "lacks first_stage_model.encoder.down.0"),
        ("sd2", ("cond_stage_model.model.positional_embedding",), "lacks cond_stage_model.model.embeddings.position"),
        ("sd1", ("model.diffusion_model.middle_block.1.",), "not alike"),
    ],
)
def test_what_is_missing_is_named(
    pairs: Callable[[str], Pair], tmp_path: Path, kind: str, prefixes: tuple[str, ...], named: str
) -> None:
    assert named in refused(rewritten(pairs(kind).file, tmp_path / "x.safetensors", without(*prefixes)))


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("lora_unet_down_blocks_0_attentions_0_proj_in.lora_down.weight", "a LoRA: triptych loras add"),
        ("control_model.input_blocks.0.0.weight", "a ControlNet of another kind"),
        ("lllite_unet_input_blocks_4_1_proj_in.down.0.weight", "a ControlNet-LLLite"),
        ("decoder.conv_in.weight", "a VAE alone"),
        ("emb_params", "a textual inversion"),
        ("model.diffusion_model.double_blocks.0.img_attn.norm.key_norm.scale", "Flux"),
        ("model.diffusion_model.joint_blocks.0.context_block.attn.qkv.weight", "Stable Diffusion 3"),
        ("down_blocks.0.resnets.0.conv1.weight", "a UNet alone, in diffusers' layout"),
        ("input_blocks.0.0.weight", "a UNet alone"),
        ("text_model.embeddings.token_embedding.weight", "a text or picture encoder"),
        ("something", "there are something"),
    ],
)
def test_other_files_are_named(tmp_path: Path, name: str, what: str) -> None:
    save_file({name: np.zeros((4, 4), np.float32)}, tmp_path / "x.safetensors")
    assert what in refused(tmp_path / "x.safetensors")


def test_other_kinds_of_file_are_named(tmp_path: Path) -> None:
    for name, content, what in (
        ("x.gguf", b"GGUF" + bytes(90), "GGUF"),
        ("x.safetensors", b"<!DOCTYPE html>", "web page"),
    ):
        (tmp_path / name).write_bytes(content)
        assert what in refused(tmp_path / name)


def test_tasks_that_are_not_known_are_named(pairs: Callable[[str], Pair], tmp_path: Path) -> None:
    name = "model.diffusion_model.input_blocks.0.0.weight"

    def widen(channels: int) -> Callable[[dict[str, Any]], object]:
        return lambda tensors: tensors.update({name: np.zeros((32, channels, 3, 3), np.float32)})

    file = pairs("sd1").file
    assert "a depth map" in refused(rewritten(file, tmp_path / "depth.safetensors", widen(5)))
    assert "takes 6 channels" in refused(rewritten(file, tmp_path / "six.safetensors", widen(6)))
    label = {"model.diffusion_model.label_emb.0.0.weight": np.zeros((128, 64), np.float32)}
    unclip = rewritten(pairs("sd2").file, tmp_path / "unclip.safetensors", lambda tensors: tensors.update(label))
    assert "label_emb" in refused(unclip)
    edm = {"edm_mean": np.zeros((1, 4, 1, 1), np.float32)}
    playground = rewritten(pairs("sdxl").file, tmp_path / "edm.safetensors", lambda tensors: tensors.update(edm))
    assert "EDM's noise" in refused(playground)


def test_a_text_encoder_without_a_name_in_between(pairs: Callable[[str], Pair], tmp_path: Path) -> None:
    """As the first files of SD 1.x's fine-tunes have it, and with position ids in half precision."""

    def change(tensors: dict[str, Any]) -> None:
        for name in [name for name in tensors if ".text_model." in name]:
            tensors[name.replace(".text_model.", ".")] = tensors.pop(name)
        tensors["cond_stage_model.transformer.embeddings.position_ids"] = np.zeros((1, 77), np.float16)

    file = rewritten(pairs("sd1").file, tmp_path / "x.safetensors", change)
    ours, theirs = opened(file, "text_encoder"), opened(pairs("sd1").file, "text_encoder")
    assert ours.weights.keys() == theirs.weights.keys() and ours.architecture == theirs.architecture


def test_a_text_encoder_that_was_in_diffusers_has_lost_its_last_layer(
    pairs: Callable[[str], Pair], tmp_path: Path
) -> None:
    whole, last = pairs("sd2").file, "cond_stage_model.model.transformer.resblocks.3."
    file = rewritten(whole, tmp_path / "x.safetensors", without(last, "cond_stage_model.model.text_projection"))
    assert opened(file, "text_encoder").architecture == opened(whole, "text_encoder").architecture


@pytest.mark.parametrize(
    ("sidecar", "metadata", "mark", "expected"),
    [
        ("", "", "", (UNDECIDED, "")),
        ('model:\n  params:\n    parameterization: "v"\n', "epsilon", "", (VELOCITY, "x.yaml")),
        ("model:\n  target: ldm.models.diffusion.ddpm.LatentDiffusion\n", "v", "", (EPSILON, "x.yaml")),
        ("title: mine\n", "v", "", (VELOCITY, "its metadata's modelspec.prediction_type")),
        ("", "epsilon", "v_pred", (EPSILON, "its metadata's modelspec.prediction_type")),
        ("", "", "v_pred", (VELOCITY, "its tensor v_pred")),
    ],
)
def test_what_a_file_predicts(
    pairs: Callable[[str], Pair],
    tmp_path: Path,
    sidecar: str,
    metadata: str,
    mark: str,
    expected: tuple[str, str],
) -> None:
    if sidecar:
        (tmp_path / "x.yaml").write_text(sidecar)
    marks = {mark: np.zeros(0, np.float32)} if mark else {}
    told = {"modelspec.prediction_type": metadata} if metadata else {}
    pair = pairs("sd2")
    checkpoint = Checkpoint.open(
        rewritten(pair.file, tmp_path / "x.safetensors", lambda tensors: tensors.update(marks), **told)
    )
    assert checkpoint.prediction == expected
    assert checkpoint.scheduler_config.get("prediction_type", UNDECIDED) == expected[0]


def test_what_a_kind_predicts(pairs: Callable[[str], Pair], tmp_path: Path) -> None:
    assert Checkpoint.open(pairs("sd1").file).prediction == (EPSILON, "its kind")
    assert Checkpoint.open(pairs("sd2").folder).prediction == (VELOCITY, "scheduler_config.json")
    marks = {"v_pred": np.zeros(0, np.float32), "ztsnr": np.zeros(0, np.float32)}
    marked = rewritten(pairs("sdxl").file, tmp_path / "x.safetensors", lambda tensors: tensors.update(marks))
    config = Checkpoint.open(marked).scheduler_config
    assert (config["prediction_type"], config["rescale_betas_zero_snr"]) == (VELOCITY, True)


@pytest.mark.parametrize("told_by", ["x.yaml", "modelspec.prediction_type"])
def test_what_no_model_predicts_is_refused_unless_the_registration_tells(
    pairs: Callable[[str], Pair], tmp_path: Path, told_by: str
) -> None:
    told = {"modelspec.prediction_type": "sample"} if told_by != "x.yaml" else {}
    file = rewritten(pairs("sd1").file, tmp_path / "x.safetensors", lambda _: None, **told)
    if told_by == "x.yaml":
        (tmp_path / "x.yaml").write_text("parameterization: sample")
    entry = Entry("x", file, "")
    with pytest.raises(
        CheckpointInvalidError, match=rf"'sample' by .*{told_by}, .*; register it with the predic"
    ) as it:
        entry.open()
    assert it.value.metadata["file"] == str(file)
    entry.prediction_type = "epsilon"
    entry.open()
    assert entry.checkpoint and entry.checkpoint.prediction == ("epsilon", "its registration")


def test_headers_that_lie_are_refused_soon(pairs: Callable[[str], Pair], tmp_path: Path) -> None:
    """Shapes and names at random, of tensors that have no bytes."""
    open_with_lies(pairs("sdxl").file, tmp_path)


def open_with_lies(file: Path, tmp_path: Path) -> None:
    """Sixty times, each with a few of the file's shapes and names made wrong."""
    header = {name: list(info.shape) for name, info in read_header(file).items()}
    randomness = random.Random(5)
    for number in range(60):
        changed = dict(header)
        for name in randomness.sample(sorted(changed), 8):
            shape = changed.pop(name)
            match randomness.randrange(4):
                case 0:
                    changed[name] = [randomness.choice([0, 1, 7, 1 << 20]) for _ in shape]
                case 1:
                    changed[name] = shape[:-1]
                case 2:
                    changed[name.replace(".0", f".{randomness.choice([1, 9, 999])}")] = shape
        path = tmp_path / f"{number}.safetensors"
        write_sparse(path, changed)
        began = time.monotonic()
        with contextlib.suppress(CheckpointInvalidError):
            Checkpoint.open(path)
        assert time.monotonic() - began < 5
        path.unlink()


def write_sparse(path: Path, shapes: dict[str, list[int]]) -> None:
    """A file of such tensors with nothing in them on the disk."""
    entries, end = {}, 0
    for name, shape in shapes.items():
        size_bytes = 2 * math.prod(shape)
        entries[name] = {"dtype": "F16", "shape": shape, "data_offsets": [end, end + size_bytes]}
        end += size_bytes
    header = json.dumps(entries).encode()
    with path.open("wb") as stream:
        stream.write(len(header).to_bytes(8, "little") + header)
        stream.truncate(8 + len(header) + min(end, 1 << 42))


def test_tensors_that_are_not_aligned_are_told(pairs: Callable[[str], Pair], tmp_path: Path) -> None:
    content = pairs("sd1").file.read_bytes()
    length = int.from_bytes(content[:8], "little")
    shifted = (length + 1).to_bytes(8, "little") + content[8 : 8 + length] + b" " + content[8 + length :]
    path = tmp_path / "x.safetensors"
    path.write_bytes(shifted)
    ours, theirs = opened(path, "unet"), opened(pairs("sd1").file, "unet")
    for (name, array), (_, expected) in zip(
        held_weights(ours, ours.weights), held_weights(theirs, ours.weights), strict=True
    ):
        assert np.array_equal(array, expected), name
    assert Checkpoint.open(path).warning.startswith("its tensors are not aligned")
    assert Checkpoint.open(pairs("sd1").file).warning == ""


def test_types_that_no_model_has_are_no_trouble_where_nobody_needs_them(
    pairs: Callable[[str], Pair], tmp_path: Path
) -> None:
    extra = {"ema.updates": np.ones(3, np.uint16), "ema.phase": np.ones(1, np.uint64)}
    file = rewritten(pairs("sd1").file, tmp_path / "x.safetensors", lambda tensors: tensors.update(extra))
    content = file.read_bytes().replace(b'"U64"', b'"C64"')
    file.write_bytes(content)
    ours, theirs = Checkpoint.open(file).components["unet"], Checkpoint.open(pairs("sd1").file).components["unet"]
    assert ours.weights.keys() == theirs.weights.keys() and ours.architecture == theirs.architecture


@pytest.mark.parametrize("name", ["scaled_fp8", "model.diffusion_model.out.2.scale_weight"])
def test_scaled_weights_are_not_taken_for_plain_ones(pairs: Callable[[str], Pair], tmp_path: Path, name: str) -> None:
    scale = {name: np.ones(1, np.float32)}
    file = rewritten(pairs("sd1").file, tmp_path / "x.safetensors", lambda tensors: tensors.update(scale))
    assert f"8-bit weights are to be scaled ({name})" in refused(file)


def test_a_pickled_file_is_served_by_what_was_made_of_it(
    pairs: Callable[[str], Pair], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE_DIR", str(tmp_path / "cache"))
    tensors = {name: torch.from_numpy(array) for name, array in load_file(pairs("sd1").file).items()}
    path = tmp_path / "x.ckpt"
    torch.save({"state_dict": tensors, "global_step": 470_000, "callbacks": {}}, path)
    ours, theirs = Checkpoint.open(path), Checkpoint.open(pairs("sd1").file)
    for name, component in theirs.components.items():
        assert ours.components[name].place == path and ours.components[name].architecture == component.architecture
        assert {info.path for info in ours.components[name].weights.values()}.isdisjoint({path})
    for (name, array), (_, expected) in zip(
        held_weights(ours.components["unet"], theirs.components["unet"].weights),
        held_weights(theirs.components["unet"], theirs.components["unet"].weights),
        strict=True,
    ):
        assert np.array_equal(array, expected), name

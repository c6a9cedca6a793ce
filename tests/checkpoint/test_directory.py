"""Checkpoint directories from strangers: broken or hostile ones are refused, the file named, and nothing is run."""

from __future__ import annotations

import json
import os
import pickle
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch

from triptych.checkpoint import Checkpoint
from triptych.errors import CheckpointInvalidError
from triptych_orchestrator.library.entry import Entry

UNET = "unet/diffusion_pytorch_model.safetensors"
VAE = "vae/diffusion_pytorch_model.safetensors"
CONFIGS = [f"{part}/config.json" for part in ("text_encoder", "unet", "vae")]


@pytest.fixture
def broken(checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    """A copy to break; its files are links until they are written anew."""
    return Path(shutil.copytree(checkpoints["sd1"], tmp_path / "broken"))


def refused(directory: Path) -> CheckpointInvalidError:
    """As registration refuses it."""
    began = time.monotonic()
    with pytest.raises(CheckpointInvalidError) as caught:
        Entry("x", directory, "onnxruntime").open()
    assert time.monotonic() - began < 5
    return caught.value


def change(file: Path, **values: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_a_sound_one_opens(checkpoints: dict[str, Path]) -> None:
    for path in checkpoints.values():
        Entry("x", path, "onnxruntime").open()


@pytest.mark.parametrize(
    "file",
    ["model_index.json", *CONFIGS, UNET, VAE, "text_encoder/model.safetensors", "scheduler/scheduler_config.json"],
)
@pytest.mark.parametrize("how", ["missing", "empty", "cut", "noise", "directory", "pipe"])
def test_files_missing_or_broken(broken: Path, file: str, how: str) -> None:
    path = broken / file
    content = path.read_bytes()
    path.unlink()
    match how:
        case "empty":
            path.touch()
        case "cut":
            path.write_bytes(content[:-2] if file.endswith(".json") else content[:-100])
        case "noise":
            path.write_bytes(random.Random(0).randbytes(3_000))
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
    error = refused(broken)
    assert Path(file).parent.name in error.metadata["file"] and str(broken) in error.metadata["file"]


@pytest.mark.parametrize("file", ["tokenizer/vocab.json", "tokenizer/merges.txt"])
@pytest.mark.parametrize("how", ["missing", "noise", "directory", "pipe", "device"])
def test_tokenizer_files_missing_or_broken(broken: Path, file: str, how: str) -> None:
    path = broken / file
    path.unlink()
    match how:
        case "noise":
            path.write_bytes(b"\xff\xfe" + random.Random(0).randbytes(3_000))
        case "directory":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "device":
            path.symlink_to("/dev/zero")
    assert Path(file).name in refused(broken).metadata["file"]


class _Payload:
    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.target),)


def test_pickles_are_refused_and_not_run(broken: Path, tmp_path: Path) -> None:
    proof = tmp_path / "executed"
    (broken / UNET).unlink()
    pickled = broken / "unet" / "diffusion_pytorch_model.bin"
    pickled.write_bytes(pickle.dumps(_Payload(proof)))
    error = refused(broken)
    assert error.metadata["file"] == str(pickled)
    assert "posix.mkdir, as an attack does" in error.message
    # Not under a safetensors name either.
    shutil.move(pickled, broken / UNET)
    assert refused(broken).metadata["file"] == str(broken / UNET)
    assert not proof.exists()
    pickle.loads((broken / UNET).read_bytes())
    assert proof.exists()  # the payload would have worked


@pytest.mark.parametrize(
    "name", ["../../passwd", "/etc/passwd", "..", "a/b.safetensors", "x.bin", "", "gone.safetensors"]
)
def test_shards_outside_of_the_folder(broken: Path, name: str) -> None:
    (broken / UNET).unlink()
    index = broken / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"conv_in.weight": name}}))
    assert refused(broken).metadata["file"].startswith(str(broken / "unet"))


def test_shards_are_read(broken: Path) -> None:
    tensors = safetensors.torch.load_file(broken / UNET)
    (broken / UNET).unlink()
    names = sorted(tensors)
    for number, part in enumerate((names[::2], names[1::2])):
        file = broken / "unet" / f"part-{number}.safetensors"
        safetensors.torch.save_file({name: tensors[name] for name in part}, file)
    weight_map = {name: f"part-{number % 2}.safetensors" for number, name in enumerate(names)}
    index = broken / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": weight_map}))
    assert Checkpoint.open(broken).components["unet"].weights.keys() == tensors.keys()
    shutil.copy(broken / "unet" / "part-0.safetensors", broken / "unet" / "part-2.safetensors")
    index.write_text(json.dumps({"weight_map": weight_map | {"again": "part-2.safetensors"}}))
    assert "twice" in refused(broken).message


ABSURD: list[tuple[str, str, Any]] = [
    ("unet", "block_out_channels", [2**40, 32]),
    ("unet", "block_out_channels", "320"),
    ("unet", "block_out_channels", [16] * 1000),
    ("unet", "block_out_channels", [16, 32, 64]),
    ("unet", "layers_per_block", 10**9),
    ("unet", "layers_per_block", -1e9),
    ("unet", "layers_per_block", "2"),
    ("unet", "layers_per_block", None),
    ("unet", "transformer_layers_per_block", [[10**6]]),
    ("unet", "sample_size", 10**9),
    ("unet", "sample_size", 0),
    ("unet", "sample_size", [8]),
    ("unet", "in_channels", 9),
    ("unet", "in_channels", True),
    ("unet", "cross_attention_dim", 10**30),
    ("unet", "cross_attention_dim", [32, 64]),
    ("unet", "act_fn", "x" * 10_000),
    ("unet", "act_fn", 5),
    ("unet", "norm_eps", float("nan")),
    ("unet", "norm_eps", float("inf")),
    ("unet", "norm_num_groups", {}),
    ("unet", "down_block_types", []),
    ("unet", "down_block_types", "DownBlock2D"),
    ("unet", "down_block_types", [["DownBlock2D"], ["DownBlock2D"]]),
    ("unet", "upcast_attention", "yes"),
    ("unet", "num_attention_heads", 10**9),
    ("unet", "time_embedding_dim", "big"),
    ("unet", "addition_embed_type", "text_time"),
    ("unet", "num_class_embeds", 10),
    ("vae", "latent_channels", 10**9),
    ("vae", "latent_channels", 8),
    ("vae", "out_channels", 4),
    ("vae", "scaling_factor", 0),
    ("vae", "scaling_factor", float("nan")),
    ("vae", "scaling_factor", True),
    ("vae", "scaling_factor", "0.18215"),
    ("vae", "shift_factor", 1e300),
    ("vae", "layers_per_block", 10**9),
    ("vae", "norm_num_groups", []),
    ("vae", "norm_num_groups", [32]),
    ("vae", "up_block_types", ["UpDecoderBlock2D"] * 1000),
    ("text_encoder", "vocab_size", 10**12),
    ("text_encoder", "vocab_size", 10),
    ("text_encoder", "max_position_embeddings", 10**9),
    ("text_encoder", "hidden_size", -32),
    ("text_encoder", "hidden_size", 32.0),
    ("text_encoder", "num_hidden_layers", 10**9),
    ("text_encoder", "num_hidden_layers", [2]),
    ("text_encoder", "intermediate_size", 10**7),
    ("text_encoder", "intermediate_size", [64]),
    ("text_encoder", "num_attention_heads", "4"),
    ("text_encoder", "layer_norm_eps", None),
    ("text_encoder", "use_attention_mask", True),
]


@pytest.mark.parametrize(("part", "key", "value"), ABSURD)
def test_absurd_configurations(broken: Path, part: str, key: str, value: Any) -> None:
    file = broken / part / "config.json"
    change(file, **{key: value})
    if value is None:
        Entry("x", broken, "onnxruntime").open()  # null is the class's default
        return
    error = refused(broken)
    assert error.metadata["file"] in (str(file), str(broken / "unet" / "config.json"))
    assert len(error.message) < 1_000


@pytest.mark.parametrize(
    "text", ["[]", "1", '"x"', "null", "", "{", "[" * 100_000, '{"a":' * 100_000, '{"a": ' + "9" * 5_000 + "}"]
)
@pytest.mark.parametrize("file", ["model_index.json", "unet/config.json", "scheduler/scheduler_config.json"])
def test_json_that_is_no_configuration(broken: Path, file: str, text: str) -> None:
    (broken / file).write_text(text)
    assert refused(broken).metadata["file"] == str(broken / file)


def test_a_huge_configuration(broken: Path) -> None:
    with (broken / "unet" / "config.json").open("ab") as stream:
        stream.truncate(10**12)  # sparse
    assert "larger than" in refused(broken).message


@pytest.mark.parametrize(
    "change_index",
    [
        {"_class_name": "StableDiffusionXLPipeline"},
        {"_class_name": ["StableDiffusionPipeline"]},
        {"unet": ["os", "system"]},
        {"unet": ["diffusers", "UNet2DModel"]},
        {"unet": None},
        {"vae": "AutoencoderKL"},
        {"text_encoder": ["transformers"]},
    ],
)
def test_classes_that_are_not_known(broken: Path, change_index: dict[str, Any]) -> None:
    change(broken / "model_index.json", **change_index)
    assert refused(broken).metadata["file"] == str(broken / "model_index.json")


@pytest.mark.parametrize(
    ("class_name", "said"),
    [
        ("StableDiffusionXLAdapterPipeline", "which is Stable Diffusion XL for another task and not supported"),
        ("StableDiffusion3Pipeline", "'StableDiffusion3Pipeline', which is Stable Diffusion 3 and not supported"),
        ("FluxPipeline", "Flux"),
        ("NobodyKnowsPipeline", "'NobodyKnowsPipeline' and not supported"),
        (None, "'None' and not supported"),
        ("x" * 10_000, "not supported"),
    ],
)
def test_another_family_is_named_and_what_is_supported_too(broken: Path, class_name: object, said: str) -> None:
    change(broken / "model_index.json", _class_name=class_name)
    message = refused(broken).message
    assert said in message and "supported are Stable Diffusion 1.x and 2.x" in message and len(message) < 1_000


def test_directories_without_an_index_are_called_what_they_are(broken: Path, tmp_path: Path) -> None:
    assert "this is one component" in refused(broken / "unet").message
    (broken / "model_index.json").unlink()
    assert "is this a diffusers-format directory?" in refused(broken).message
    (broken / "v1-5-pruned.ckpt").touch()
    assert "single files (v1-5-pruned.ckpt): give the path of the one to serve" in refused(broken).message
    (tmp_path / "models--me--tiny" / "snapshots").mkdir(parents=True)
    assert "give the directory of a revision" in refused(tmp_path / "models--me--tiny").message


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (__file__, "not a safetensors file"),
        ("runwayml/stable-diffusion-v1-5", "run `hf download runwayml/stable-diffusion-v1-5 --include"),
        ("https://hub.example/me/tiny", "download the whole repository"),
        ("/models/none.safetensors", "no such file or directory"),
    ],
)
def test_what_is_no_checkpoint_is_called_what_it_is(path: str, said: str) -> None:
    with pytest.raises(CheckpointInvalidError, match=said):
        Checkpoint.open(Path(path))


@pytest.mark.parametrize(
    "values",
    [
        {"beta_schedule": "no-such"},
        {"beta_start": "small"},
        {"beta_start": float("nan")},
        {"beta_start": float("inf")},
        {"beta_end": 10**400},
        {"num_train_timesteps": 0},
        {"num_train_timesteps": 10**9},
        {"num_train_timesteps": 1000.5},
        {"trained_betas": [1, 2, 3]},
        {"trained_betas": [10**400] * 1000},
        {"trained_betas": [float("nan")] * 1000},
        {"prediction_type": "flow"},
        {"steps_offset": -1},
        {"steps_offset": 10**6},
        {"timestep_spacing": "sideways"},
        {"set_alpha_to_one": "no"},
    ],
)
def test_scheduler_nonsense(broken: Path, values: dict[str, Any]) -> None:
    change(broken / "scheduler" / "scheduler_config.json", **values)
    assert refused(broken).metadata["file"].endswith("scheduler/scheduler_config.json")


def test_tokenizers_that_do_not_fit(broken: Path) -> None:
    file = broken / "tokenizer" / "vocab.json"
    vocabulary = json.loads(file.read_text())
    file.write_text(json.dumps(vocabulary | {"zzz": 10**6}))
    assert "the tokenizer has the id 1000000" in refused(broken).message
    file.write_text(json.dumps(vocabulary | {"zzz": 10**30}))
    assert refused(broken).metadata["file"] == "tokenizer/vocab.json"
    file.write_text(json.dumps(vocabulary))
    config = broken / "tokenizer" / "tokenizer_config.json"
    change(config, model_max_length=32)
    assert "takes 77 tokens" in refused(broken).message
    change(config, model_max_length=77, added_tokens_decoder={"9" * 5_000: {"content": "x"}})
    assert refused(broken).metadata["file"] == "tokenizer/tokenizer_config.json"


@pytest.mark.parametrize("path", ["/" + "x" * 300, "/" + "x/" * 3_000, "/a\0b", "/dev/null", "/proc/self/mem"])
def test_paths_that_are_no_directory(path: str) -> None:
    with pytest.raises(CheckpointInvalidError):
        Checkpoint.open(Path(path))


@pytest.mark.parametrize("seed", range(6))
def test_random_values_in_configurations(checkpoints: dict[str, Path], tmp_path: Path, seed: int) -> None:
    """Either it opens or it is refused; nothing else, and never slowly."""
    chance = random.Random(seed)
    numbers = [0, -1, 3, 2**31, 10**30, 0.5, float("nan"), float("-inf")]
    values: list[Any] = [None, True, *numbers, "", "x", "silu", [], [1], [[2]], {}, {"a": 1}]
    files = [*CONFIGS, "scheduler/scheduler_config.json", "tokenizer/tokenizer_config.json", "model_index.json"]
    files.append("tokenizer/special_tokens_map.json")
    whole = Path(shutil.copytree(checkpoints["sd1"], tmp_path / "fuzzed"))
    for _ in range(60):
        file = whole / chance.choice(files)
        content = file.read_text()
        config = json.loads(content)
        change(file, **{key: chance.choice(values) for key in chance.sample(sorted(config), min(2, len(config)))})
        began = time.monotonic()
        try:
            Entry("x", whole, "onnxruntime").open()
        except CheckpointInvalidError as error:
            assert error.metadata["file"]
        assert time.monotonic() - began < 5
        file.write_text(content)

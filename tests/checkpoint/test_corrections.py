"""What diffusers and transformers make of a checkpoint's configurations while loading, compared with ours."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import diffusers
import pytest
import safetensors.torch
import transformers

from triptych.checkpoint import Checkpoint
from triptych.checkpoint.architecture import DEFAULTS, Architecture
from triptych.checkpoint.corrections import trained_sample_size
from triptych.engine.modules import build_module, parameter_names
from triptych.errors import CheckpointInvalidError
from triptych_orchestrator.library.entry import Entry

Parts = Mapping[str, Any]


@pytest.fixture
def copy(checkpoints: dict[str, Path], tmp_path: Path) -> Path:
    """A checkpoint to change."""
    return Path(shutil.copytree(checkpoints["sd1"], tmp_path / "copy"))


def change(file: Path, how: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    file.write_text(json.dumps(how(json.loads(file.read_text()))))


@pytest.mark.parametrize("size", [8, 32, 63, 64, 96, [8, 16], None])
@pytest.mark.parametrize("version", ["0.4.0", "0.8.1", "0.9.0.dev0", "0.9.0", "0.10.2", "1.0.0", None])
def test_small_sizes_from_before_diffusers_0_9_mean_64(checkpoints: dict[str, Path], size: Any, version: str) -> None:
    config = json.loads((checkpoints["sd1"] / "unet" / "config.json").read_text())
    config |= {"sample_size": size, "_diffusers_version": version}
    if version is None:
        del config["_diffusers_version"]
    parts: Parts = dict.fromkeys(("vae", "text_encoder", "tokenizer", "scheduler", "safety_checker"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # the pipeline's notice about outdated configs
        unet = diffusers.UNet2DConditionModel.from_config(config)
        pipeline = diffusers.StableDiffusionPipeline(
            **parts, unet=unet, feature_extractor=None, requires_safety_checker=False
        )
    theirs = pipeline.unet.config.sample_size
    expected = (theirs, theirs) if isinstance(theirs, int) else tuple(theirs or (0, 0))
    assert trained_sample_size(Path("config.json"), config) == expected


def test_a_checkpoint_without_a_size_opens(copy: Path) -> None:
    change(copy / "unet" / "config.json", lambda config: config | {"sample_size": None})
    checkpoint = Checkpoint.open(copy)
    assert (checkpoint.default_width, checkpoint.default_height) == (0, 0)


@pytest.mark.parametrize("kept", [{}, {"model_type": "clip", "hidden_size": 9, "vocab_size": 1}])
def test_a_text_encoders_configuration_may_be_a_whole_clip_models(copy: Path, kept: Parts) -> None:
    plain = Checkpoint.open(copy).components["encoder"].architecture
    change(copy / "text_encoder" / "config.json", lambda config: {**kept, "text_config": config})
    theirs = transformers.CLIPTextConfig.from_pretrained(copy / "text_encoder").to_dict()
    ours = Checkpoint.open(copy).components["encoder"].architecture
    assert ours == plain
    assert dict(ours.config) == {key: theirs[key] for key in DEFAULTS["CLIPTextModel"]}
    change(copy / "text_encoder" / "config.json", lambda config: config | {"text_config": None})
    with pytest.raises(CheckpointInvalidError, match="text_config must be an object"):
        Checkpoint.open(copy)


@pytest.mark.parametrize(
    "name",
    [
        "StableDiffusionImg2ImgPipeline",
        "StableDiffusionInpaintPipeline",
        "StableDiffusionInpaintPipelineLegacy",
        "StableDiffusionControlNetPipeline",
    ],
)
def test_pipelines_for_other_tasks_open(copy: Path, name: str) -> None:
    change(copy / "model_index.json", lambda index: index | {"_class_name": name, "image_encoder": [None, None]})
    assert Checkpoint.open(copy).family.name == "stable-diffusion"


def test_a_unet_that_sees_more_than_requests_bring_is_refused_for_it(copy: Path) -> None:
    change(copy / "unet" / "config.json", lambda config: config | {"in_channels": 5})
    with pytest.raises(CheckpointInvalidError, match=r"must be the VAE's 4; .* no request brings, depth say"):
        Checkpoint.open(copy)


@pytest.mark.parametrize("name", ["EulerDiscreteScheduler", "DDIMScheduler", "UniPCMultistepScheduler", None])
def test_the_index_names_the_schedulers_class(copy: Path, name: str | None) -> None:
    change(copy / "model_index.json", lambda index: index | {"scheduler": ["diffusers", name]})
    entry = Entry("x", copy, "onnxruntime")
    entry.open()
    assert entry.checkpoint is not None
    assert entry.checkpoint.scheduler_config["_class_name"] == (name or "PNDMScheduler")
    names = {"EulerDiscreteScheduler": "euler", "DDIMScheduler": "ddim", None: "pndm"}
    assert entry.scheduler == names.get(name, "")
    assert ("can be asked for: ddim" in entry.warning) == (name not in names)


@pytest.mark.parametrize(
    ("part", "class_name", "key"),
    [
        ("unet", "UNet2DConditionModel", "in_channels"),
        ("unet", "UNet2DConditionModel", "out_channels"),
        ("vae", "AutoencoderKL", "latent_channels"),
        ("vae", "AutoencoderKL", "out_channels"),
    ],
)
def test_a_count_of_channels_that_is_not_said_is_the_classes_own(
    copy: Path, part: str, class_name: str, key: str
) -> None:
    whole = Checkpoint.open(copy)
    change(copy / part / "config.json", lambda config: {name: config[name] for name in config if name != key})
    model = getattr(diffusers, class_name).from_pretrained(copy / part)
    assert model.config[key] == DEFAULTS[class_name][key]
    opened = Checkpoint.open(copy)
    assert opened.latent_channels == whole.latent_channels
    assert {name: one.architecture for name, one in opened.components.items()} == {
        name: one.architecture for name, one in whole.components.items()
    }


NULLS = [
    ("vae", "AutoencoderKL", "use_post_quant_conv"),
    ("vae", "AutoencoderKL", "mid_block_add_attention"),
    ("unet", "UNet2DConditionModel", "mid_block_type"),
    ("unet", "UNet2DConditionModel", "flip_sin_to_cos"),
    ("unet", "UNet2DConditionModel", "use_linear_projection"),
]


@pytest.mark.parametrize(("folder", "class_name", "key"), NULLS)
def test_null_is_what_it_is_to_the_class(copy: Path, folder: str, class_name: str, key: str) -> None:
    file = copy / folder / "config.json"
    change(file, lambda config: config | {key: None})
    theirs = getattr(diffusers, class_name).from_config(json.loads(file.read_text()))
    model = {"vae": "vae_decoder", "unet": "unet"}[folder]
    architecture = Checkpoint.open(copy).components[model].architecture
    module = build_module(architecture)
    shapes = {name: parameter.shape for name, parameter in module.named_parameters()}
    ours = {own: shapes[name] for name, own in parameter_names(module).items()}
    # The VAE's encoder is a model of its own.
    unserved = ("encoder.", "quant_conv.")
    assert ours == {name: value.shape for name, value in theirs.state_dict().items() if not name.startswith(unserved)}
    assert bool(architecture.config[key]) == bool(theirs.config[key])
    assert Architecture.from_canonical(architecture.canonical()) == architecture


def test_the_count_of_heads_may_not_be_named_for_what_it_is(copy: Path) -> None:
    change(copy / "unet" / "config.json", lambda config: config | {"num_attention_heads": 2})
    with pytest.raises(ValueError, match="num_attention_heads"):
        diffusers.UNet2DConditionModel.from_config(json.loads((copy / "unet" / "config.json").read_text()))
    with pytest.raises(CheckpointInvalidError, match="num_attention_heads must be null"):
        Checkpoint.open(copy)


def test_old_names_of_attention_matrices_wherever_they_stand(tmp_path: Path) -> None:
    from triptych.checkpoint.weights import read_weights

    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8),
        down_block_types=("DownEncoderBlock2D", "AttnDownEncoderBlock2D"),
        up_block_types=("AttnUpDecoderBlock2D", "UpDecoderBlock2D"),
        norm_num_groups=4,
    )
    state = vae.state_dict()
    renamed = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    old = {}
    for name, value in state.items():
        for new, former in renamed.items():
            name = name.replace(f".{new}.", f".{former}.")
        old[name] = value
    assert sum(name.startswith("decoder.up_blocks.") and ".query." in name for name in old)
    vae.save_config(tmp_path)
    safetensors.torch.save_file(old, tmp_path / "diffusion_pytorch_model.safetensors")
    theirs = diffusers.AutoencoderKL.from_pretrained(tmp_path).state_dict()
    ours = read_weights(tmp_path, "AutoencoderKL", tmp_path)
    assert {name: info.shape for name, info in ours.items()} == {
        name: tuple(value.shape) for name, value in theirs.items()
    }
    for name, value in state.items():
        assert theirs[name].equal(value)

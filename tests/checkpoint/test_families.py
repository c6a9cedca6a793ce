"""What each family makes of requests and configurations, compared with diffusers' pipeline of it."""

from __future__ import annotations

import json
import shutil
import warnings
from dataclasses import replace
from itertools import combinations, product
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import pytest
import transformers
from PIL import Image

from tests import tiny
from triptych.checkpoint import INPAINTING, INSTRUCTED, Checkpoint, Editing
from triptych.checkpoint.architecture import DEFAULTS, Architecture
from triptych.checkpoint.component import LatentScaling
from triptych.checkpoint.families import FAMILIES, Family, check_fields
from triptych.checkpoint.families.stable_diffusion import STABLE_DIFFUSION
from triptych.checkpoint.families.stable_diffusion_xl import STABLE_DIFFUSION_XL
from triptych.checkpoint.families.stable_diffusion_xl_refiner import STABLE_DIFFUSION_XL_REFINER
from triptych.engine.conditions import conditioning_dims
from triptych.errors import CheckpointInvalidError, InvalidArgumentError
from triptych_orchestrator.library.entry import Entry


@pytest.fixture(scope="module")
def pipelines(sdxl: Path) -> dict[bool, Any]:
    """By whether pictures begin with an image."""
    from_text = diffusers.StableDiffusionXLPipeline.from_pretrained(sdxl)
    return {False: from_text, True: diffusers.StableDiffusionXLImg2ImgPipeline(**from_text.components)}


@pytest.fixture
def copy(sdxl: Path, tmp_path: Path) -> Path:
    """A checkpoint to change."""
    return Path(shutil.copytree(sdxl, tmp_path / "copy"))


def refused(directory: Path) -> CheckpointInvalidError:
    with pytest.raises(CheckpointInvalidError) as caught:
        Checkpoint.open(directory)
    return caught.value


def test_the_page_names_every_family_with_its_fields() -> None:
    page = (Path(__file__).parents[2] / "docs" / "families.md").read_text()
    rows = {cells[1].strip(): cells[3] for line in page.splitlines() if len(cells := line.split("|")) == 5}
    for family in FAMILIES.values():
        fields = rows[f"`{family.name}`"].split(",")
        assert {field.strip().strip("`") for field in fields} - {""} == family.fields


def _is_a_file(family: Family) -> bool:
    """Of a class that is no pipeline's."""
    return family.enlarges or family.prepares


def test_every_pipeline_class_is_diffusers_own_and_of_one_family() -> None:
    named = [name for family in FAMILIES.values() for name in family.pipelines if not _is_a_file(family)]
    # diffusers has moved the first away, and has no class for the second.
    for name in set(named) - {"StableDiffusionInpaintPipelineLegacy", "IPAdapter"}:
        assert hasattr(diffusers, name)
    for name, is_refiner in product(set(named), (False, True)):
        index = {"_class_name": name, "requires_aesthetics_score": is_refiner}
        assert sum(name in family.pipelines and family.is_one(index) for family in FAMILIES.values()) == 1


def test_all_of_sdxl_is_read_and_only_its_own(sdxl: Path, pipelines: dict[bool, Any]) -> None:
    checkpoint = Checkpoint.open(sdxl)
    assert checkpoint.family is STABLE_DIFFUSION_XL
    assert (checkpoint.tokens, checkpoint.default_height, checkpoint.default_width) == (77, 64, 64)
    theirs = {
        "encoder": pipelines[False].text_encoder.state_dict(),
        "encoder_2": pipelines[False].text_encoder_2.state_dict(),
        "unet": pipelines[False].unet.state_dict(),
        "vae_decoder": pipelines[False].vae.state_dict(),
        "vae_encoder": pipelines[False].vae.state_dict(),
    }
    halves = {"vae_decoder": ("decoder.", "post_quant_conv."), "vae_encoder": ("encoder.", "quant_conv.")}
    for model, component in checkpoint.components.items():
        assert component.architecture.model == model
        assert {name: info.shape for name, info in component.weights.items()} == {
            name.removeprefix("text_model."): tuple(value.shape)
            for name, value in theirs[model].items()
            if name.startswith(halves.get(model, ""))
        }
    assert checkpoint.components.keys() == theirs.keys()


@pytest.mark.parametrize("class_name", ["StableDiffusionXLImg2ImgPipeline", "StableDiffusionXLControlNetUnionPipeline"])
def test_sdxl_for_other_tasks_opens(copy: Path, class_name: str) -> None:
    tiny.update(copy / "model_index.json", _class_name=class_name)
    assert Checkpoint.open(copy).family is STABLE_DIFFUSION_XL


EDITING = [
    ("sd1", "StableDiffusionInpaintPipeline", 9, INPAINTING),
    ("sd1", "StableDiffusionInstructPix2PixPipeline", 8, INSTRUCTED),
    ("sdxl", "StableDiffusionXLInpaintPipeline", 9, INPAINTING),
    ("sdxl", "StableDiffusionXLInstructPix2PixPipeline", 8, INSTRUCTED),
]


@pytest.mark.parametrize(("whole", "class_name", "in_channels", "editing"), EDITING)
def test_checkpoints_that_edit_pictures_are_recognised(
    checkpoints: dict[str, Path], tmp_path: Path, whole: str, class_name: str, in_channels: int, editing: Editing
) -> None:
    path = tiny.save_editing_checkpoint(tmp_path / "editing", checkpoints[whole], class_name, in_channels)
    assert type(diffusers.DiffusionPipeline.from_pretrained(path)).__name__ == class_name
    checkpoint, plain = Checkpoint.open(path), Checkpoint.open(checkpoints[whole])
    assert (checkpoint.family, checkpoint.editing, plain.editing) == (plain.family, editing, None)
    assert checkpoint.components["unet"].architecture.digest() != plain.components["unet"].architecture.digest()


def test_the_class_for_inpainting_with_an_ordinary_unet_edits_nothing(copy: Path) -> None:
    tiny.update(copy / "model_index.json", _class_name="StableDiffusionXLInpaintPipeline")
    assert Checkpoint.open(copy).editing is None


@pytest.mark.parametrize("says", [True, False, None])
def test_a_refiner_is_told_by_its_score_or_by_its_one_text_encoder(checkpoints: dict[str, Path], says: Any) -> None:
    index = json.loads((checkpoints["refiner"] / "model_index.json").read_text())
    assert index["requires_aesthetics_score"] and index["text_encoder"] == [None, None]
    assert STABLE_DIFFUSION_XL_REFINER.is_one(index | {"requires_aesthetics_score": says})
    checkpoint = Checkpoint.open(checkpoints["refiner"])
    assert checkpoint.family is STABLE_DIFFUSION_XL_REFINER and not checkpoint.zeroes_negative
    assert checkpoint.components.keys() == {"encoder_2", "unet", "vae_decoder", "vae_encoder"}


def test_a_base_that_says_it_is_a_refiner_is_named(copy: Path) -> None:
    tiny.update(copy / "model_index.json", requires_aesthetics_score=True)
    assert "cross_attention_dim 80 must be text_encoder_2's hidden_size 48" in refused(copy).message


def test_a_refiner_has_an_architecture_of_its_own(checkpoints: dict[str, Path]) -> None:
    """Of as many inputs for what it is told, fewer are time ids, and more the pooled vector's."""
    refiner, base = (Checkpoint.open(checkpoints[name]).components["unet"].architecture for name in ("refiner", "sdxl"))
    assert (refiner.time_ids, base.time_ids) == (5, 6)
    assert conditioning_dims(refiner)["text_embeds"] == conditioning_dims(base)["text_embeds"] == (24,)
    assert replace(refiner, time_ids=6).digest() != refiner.digest()
    assert Architecture.from_canonical(refiner.canonical()) == refiner


MISFITS: list[tuple[str, dict[str, Any], str]] = [
    ("unet", {"cross_attention_dim": 32}, "text_encoder's hidden_size 32 plus text_encoder_2's hidden_size 48"),
    ("unet", {"projection_class_embeddings_input_dim": 48}, "must be 72: text_encoder_2's projection_dim 24 plus 6"),
    ("unet", {"projection_class_embeddings_input_dim": None}, "projection_class_embeddings_input_dim must be a whole"),
    ("unet", {"addition_time_embed_dim": 16}, "must be 120"),
    ("unet", {"addition_time_embed_dim": "8"}, "addition_time_embed_dim must be like"),
    ("unet", {"addition_embed_type": None}, "addition_embed_type must be 'text_time', not None"),
    ("unet", {"addition_embed_type": "text"}, "addition_embed_type must be 'text_time', not 'text'"),
    ("unet", {"time_cond_proj_dim": 256}, "time_cond_proj_dim=256 belongs to a family that is not supported"),
    ("unet", {"time_embedding_dim": 64}, "add_embedding.linear_1.weight"),
    ("unet", {"in_channels": 9}, "conv_in.weight (8, 9, 3, 3)"),
    ("unet", {"in_channels": 5}, "something besides that no request brings"),
    ("unet", {"transformer_layers_per_block": [1, 2]}, "one value or 3"),
    ("unet", {"transformer_layers_per_block": [1, 1, 900]}, "out of bounds"),
    ("unet", {"transformer_layers_per_block": [1, 1, 100]}, "layers, but the weights have"),
    ("unet", {"attention_head_dim": [1, 2]}, "one value or 3"),
    ("text_encoder", {"max_position_embeddings": 32}, "embeddings.position_embedding.weight (32, 32)"),
    ("text_encoder_2", {"projection_dim": 32}, "text_projection.weight"),
    ("text_encoder_2", {"projection_dim": 0}, "projection_dim must be a whole number from 1"),
    ("text_encoder_2", {"hidden_size": 32}, "embeddings.token_embedding.weight"),
    ("text_encoder_2", {"vocab_size": 10**12}, "out of bounds"),
    ("vae", {"latents_mean": [0, 0, 0]}, "latents_mean must be 4 numbers"),
    ("vae", {"latents_std": [0, 1, 1, 1]}, "latents_std must be 4 numbers"),
    ("vae", {"latents_std": "wide"}, "latents_std must be 4 numbers"),
    ("vae", {"in_channels": 4}, "in_channels must be 3"),
]


@pytest.mark.parametrize(("folder", "values", "said"), MISFITS)
def test_components_that_do_not_fit_are_named(copy: Path, folder: str, values: dict[str, Any], said: str) -> None:
    tiny.update(copy / folder / "config.json", **values)
    error = refused(copy)
    assert said in error.message and error.metadata["file"] == str(copy / folder / "config.json")


def test_encoders_of_unequal_lengths(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    file = copy / "text_encoder_2" / "model.safetensors"
    tensors = load_file(file)
    name = "text_model.embeddings.position_embedding.weight"
    save_file(tensors | {name: tensors[name][:50].clone()}, file, {"format": "pt"})
    tiny.update(copy / "text_encoder_2" / "config.json", max_position_embeddings=50)
    assert "max_position_embeddings 50 must be text_encoder's 77" in refused(copy).message


def test_a_family_under_the_others_pipeline(copy: Path, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    tiny.update(copy / "model_index.json", _class_name="StableDiffusionPipeline")
    assert "addition_embed_type='text_time' belongs to a family" in refused(copy).message
    first = Path(shutil.copytree(checkpoints["sd1"], tmp_path / "sd1"))
    tiny.update(first / "model_index.json", _class_name="StableDiffusionXLPipeline")
    assert "text_encoder_2 must be a CLIPTextModelWithProjection" in refused(first).message


def test_a_projections_defaults_are_transformers_own() -> None:
    config = transformers.CLIPTextConfig().to_dict()
    name = "CLIPTextModelWithProjection"
    assert {key: config[key] for key in DEFAULTS[name]} == DEFAULTS[name]


SIZES: dict[str, tuple[int, int]] = {
    "original_size": (512, 300),
    "crops_coords_top_left": (10, 200),
    "target_size": (32, 99),
}


@pytest.mark.parametrize(
    ("asked", "negative"),
    [
        ({}, ()),
        *(({field: SIZES[field]}, ()) for field in SIZES),
        ({}, tuple(SIZES)),
        *((SIZES, negative) for negative in [("original_size",), ("original_size", "target_size"), tuple(SIZES)]),
    ],
)
@pytest.mark.parametrize("with_image", [False, True])
def test_time_ids_are_diffusers_own(
    pipelines: dict[bool, Any], asked: dict[str, Any], negative: tuple[str, ...], with_image: bool
) -> None:
    """By what the UNet is given at its first step, of the negative prompt and of the prompt."""
    seen: list[Any] = []

    def remember(_module: Any, _args: Any, keywords: dict[str, Any]) -> None:
        seen.append(keywords["added_cond_kwargs"]["time_ids"].numpy())
        raise InterruptedError

    sizes = asked | {f"negative_{field}": tuple(extent + 7 for extent in SIZES[field]) for field in negative}
    begins: dict[str, Any] = {"height": 64, "width": 72}
    if with_image:
        begins = {"image": Image.new("RGB", (72, 64)), "strength": 1.0}
    handle = pipelines[with_image].unet.register_forward_pre_hook(remember, with_kwargs=True)
    try:
        with pytest.raises(InterruptedError):
            pipelines[with_image]("a", num_inference_steps=1, **begins, **sizes)
    finally:
        handle.remove()
    ours = STABLE_DIFFUSION_XL.time_ids(sizes, 64, 72, with_image)
    np.testing.assert_array_equal(np.array([ours.negative, ours.positive]), seen[0])
    assert STABLE_DIFFUSION.time_ids({}, 64, 72, False) == ((), (), {})


SCORES: dict[str, tuple[float, ...]] = {"aesthetic_score": (8.5,), "negative_aesthetic_score": (1.25,)}


@pytest.mark.parametrize("asked", [{}, SCORES, {"original_size": (512, 300)}, {"crops_coords_top_left": (10, 200)}])
@pytest.mark.parametrize("negative", [fields for count in range(3) for fields in combinations(list(SIZES)[:2], count)])
def test_a_refiners_time_ids_are_diffusers_own(
    checkpoints: dict[str, Path], asked: dict[str, Any], negative: tuple[str, ...]
) -> None:
    pipeline = diffusers.StableDiffusionXLImg2ImgPipeline.from_pretrained(checkpoints["refiner"])
    sizes = asked | {f"negative_{field}": tuple(extent + 7 for extent in SIZES[field]) for field in negative}
    given = {field: values[0] if len(values) == 1 else values for field, values in sizes.items()}
    seen: list[Any] = []

    def remember(_module: Any, _args: Any, keywords: dict[str, Any]) -> None:
        seen.append(keywords["added_cond_kwargs"]["time_ids"].numpy())
        raise InterruptedError

    pipeline.unet.register_forward_pre_hook(remember, with_kwargs=True)
    with pytest.raises(InterruptedError):
        pipeline("a", image=Image.new("RGB", (72, 64)), num_inference_steps=1, strength=1.0, **given)
    ours = STABLE_DIFFUSION_XL_REFINER.time_ids(sizes, 64, 72, True)
    np.testing.assert_array_equal(np.array([ours.negative, ours.positive], np.float32), seen[0])


def test_a_family_may_have_another_text_encoder_alone(sdxl: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = STABLE_DIFFUSION_XL.texts[1:]
    parts = {model: part for model, part in STABLE_DIFFUSION_XL.parts.items() if model != "encoder"}
    other = replace(STABLE_DIFFUSION_XL, texts=texts, parts=parts, check=lambda components: None)
    monkeypatch.setitem(FAMILIES, other.name, other)  # type: ignore[arg-type]
    checkpoint = Checkpoint.open(sdxl)
    assert checkpoint.tokens == 77 and "encoder" not in checkpoint.components


@pytest.mark.parametrize("negative", [fields for count in range(4) for fields in combinations(SIZES, count)])
@pytest.mark.parametrize("with_image", [False, True])
def test_a_size_without_effect_is_told(negative: tuple[str, ...], with_image: bool) -> None:
    sizes = {f"negative_{field}": (SIZES[field][0] + 7, 9) for field in negative}
    ours = STABLE_DIFFUSION_XL.time_ids(sizes, 64, 72, with_image)
    without = {name: {other: sizes[other] for other in sizes if other != name} for name in sizes}
    idle = [name for name in sizes if STABLE_DIFFUSION_XL.time_ids(without[name], 64, 72, with_image)[:2] == ours[:2]]
    assert list(ours.idle) == idle and all(why.startswith("with") for why in ours.idle.values())


@pytest.mark.parametrize(
    "config",
    [tiny.SDXL_SCHEDULER, {**tiny.SD1_SCHEDULER, "steps_offset": 0}, {**tiny.SD2_SCHEDULER, "clip_sample": True}],
)
def test_sdxl_leaves_the_schedulers_configuration_alone(config: dict[str, Any]) -> None:
    own = getattr(diffusers, config["_class_name"]).from_config(config)
    names = ("vae", "text_encoder", "text_encoder_2", "tokenizer", "tokenizer_2", "unet")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pipeline = diffusers.StableDiffusionXLPipeline(**dict.fromkeys(names), scheduler=own)  # type: ignore[arg-type]
    for is_own in (True, False):
        ours = STABLE_DIFFUSION_XL.scheduler_config(config, is_own)
        assert ours == {key: pipeline.scheduler.config[key] for key in config if key != "_class_name"} | {
            "_class_name": config["_class_name"]
        }


@pytest.mark.parametrize("stated", [True, False, None, ...])
def test_whether_zeros_stand_for_no_negative_prompt(copy: Path, stated: Any) -> None:
    file = copy / "model_index.json"
    index = {key: value for key, value in json.loads(file.read_text()).items() if key != "force_zeros_for_empty_prompt"}
    file.write_text(json.dumps(index if stated is ... else index | {"force_zeros_for_empty_prompt": stated}))
    theirs = diffusers.StableDiffusionXLPipeline.from_pretrained(copy).config.force_zeros_for_empty_prompt
    assert Checkpoint.open(copy).zeroes_negative == bool(theirs)


def test_sdxl_alone_has_statistics_of_latents(copy: Path, checkpoints: dict[str, Path], tmp_path: Path) -> None:
    statistics = {"latents_mean": [0.1, -0.2, 0, 1], "latents_std": [1, 2, 3, -4.5]}
    first = Path(shutil.copytree(checkpoints["sd1"], tmp_path / "sd1"))
    for path in (copy, first):
        tiny.update(path / "vae" / "config.json", **statistics)
    with_all = LatentScaling(0.13025, (0.1, -0.2, 0.0, 1.0), (1.0, 2.0, 3.0, -4.5))
    assert Checkpoint.open(copy).components["vae_decoder"].latent_scaling == with_all
    assert Checkpoint.open(first).components["vae_decoder"].latent_scaling == LatentScaling(0.18215)
    tiny.update(copy / "vae" / "config.json", latents_std=None, scaling_factor=None)
    assert Checkpoint.open(copy).components["vae_encoder"].latent_scaling == LatentScaling(0.18215)


def test_clip_skip_counts_for_the_prompt_alone() -> None:
    (only,), (first, second) = STABLE_DIFFUSION.texts, STABLE_DIFFUSION_XL.texts
    assert [only.skipped(skip, is_negative=False) for skip in (0, 2)] == [0, 2]
    assert [first.skipped(skip, is_negative=False) for skip in (0, 2)] == [1, 3]
    assert [part.skipped(2, is_negative=True) for part in (only, first, second)] == [0, 1, 1]


@pytest.mark.parametrize(("family", "most"), [("sd1", 2), ("sdxl", 2)])
def test_how_many_layers_can_be_skipped(
    checkpoints: dict[str, Path], sdxl: Path, monkeypatch: pytest.MonkeyPatch, family: str, most: int
) -> None:
    # Where diffusers looks for the final norm, which today's transformers has in the model itself.
    monkeypatch.setattr(transformers.CLIPTextModel, "text_model", property(lambda model: model), raising=False)
    path = checkpoints.get(family, sdxl)
    theirs = diffusers.DiffusionPipeline.from_pretrained(path)
    assert Checkpoint.open(path).most_clip_skip == most
    arguments = {"device": "cpu", "num_images_per_prompt": 1, "do_classifier_free_guidance": False}
    theirs.encode_prompt("a", **arguments, clip_skip=most)
    with pytest.raises(IndexError):
        theirs.encode_prompt("a", **arguments, clip_skip=most + 1)


def test_a_field_that_a_family_does_not_know_is_refused_with_those_that_do() -> None:
    check_fields(["prompt", "clip_skip", "guidance_rescale"], STABLE_DIFFUSION)
    check_fields(["prompt_2", "negative_target_size", "clip_skip"], STABLE_DIFFUSION_XL)
    check_fields(["prompt_2", "aesthetic_score"], STABLE_DIFFUSION_XL, STABLE_DIFFUSION_XL_REFINER)
    with pytest.raises(InvalidArgumentError, match=r"prompt_2: .* not known to .* 2\.x, only to .* XL base") as caught:
        check_fields(["prompt", "prompt_2"], STABLE_DIFFUSION)
    assert caught.value.metadata["field"] == "prompt_2"


def test_both_tokenizers_are_opened_each_with_its_own_padding(sdxl: Path) -> None:
    entry = Entry("x", sdxl, "onnxruntime")
    entry.open()
    theirs = [transformers.CLIPTokenizer.from_pretrained(sdxl / name) for name in ("tokenizer", "tokenizer_2")]
    for ours, reference in zip(entry.tokenizers, theirs, strict=True):
        expected = reference(["a red circle!", ""], padding="max_length", max_length=77, truncation=True).input_ids
        assert ours.encode(["a red circle!", ""]).input_ids.tolist() == expected
    assert entry.tokenizers[0].encode([""]).input_ids[0, 2] != entry.tokenizers[1].encode([""]).input_ids[0, 2] == 0


def test_a_second_tokenizer_that_does_not_fit_is_named(copy: Path) -> None:
    tiny.update(copy / "tokenizer_2" / "tokenizer_config.json", model_max_length=32)
    with pytest.raises(CheckpointInvalidError, match="takes 77 tokens") as caught:
        Entry("x", copy, "onnxruntime").open()
    assert caught.value.metadata["file"] == str(copy / "tokenizer_2" / "tokenizer_config.json")

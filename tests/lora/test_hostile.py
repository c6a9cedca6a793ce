"""Files that are broken, hostile or something else: a LoraInvalidError names the file and what is wrong."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from tests.checkpoint.test_safetensors import mutated
from tests.lora import making
from tests.lora.algorithms.formulas import ALGORITHMS
from tests.lora.conftest import Components
from triptych.checkpoint.safetensors import map_tensor
from triptych.errors import LoraInvalidError
from triptych.lora import LoraFile, match_lora, merge
from triptych.lora.original import original_name

KEY = "lora_unet_mid_block_attentions_0_proj_in"
SOUND = {f"{KEY}.lora_down.weight": torch.zeros(2, 32, 1, 1), f"{KEY}.lora_up.weight": torch.zeros(32, 2, 1, 1)}


def refusal(path: Path, tensors: making.Tensors) -> str:
    making.save(path, tensors)
    with pytest.raises(LoraInvalidError) as caught:
        LoraFile.open(path)
    assert caught.value.metadata["file"] == str(path) and caught.value.message.startswith(str(path))
    return caught.value.message


def changed(**parts: torch.Tensor) -> making.Tensors:
    """The sound module with other parts."""
    names = {part: f"{KEY}.alpha" if part == "alpha" else f"{KEY}.lora_{part}.weight" for part in parts}
    return SOUND | {names[part]: tensor for part, tensor in parts.items()}


BROKEN = {
    "ranks differ": (changed(down=torch.zeros(3, 32)), "different rank"),
    "three dimensions": (changed(down=torch.zeros(2, 32, 1)), "neither"),
    "a vector": (changed(up=torch.zeros(32)), "neither"),
    "rank 0": (changed(down=torch.zeros(0, 32), up=torch.zeros(32, 0)), "neither"),
    "integers": (changed(down=torch.zeros(2, 32, dtype=torch.int8)), "I8"),
    "double precision": (changed(up=torch.zeros(32, 2, dtype=torch.float64)), "F64"),
    "up with a kernel": (changed(up=torch.zeros(32, 2, 3, 3)), "larger than 1x1"),
    "mid of another rank": (changed(mid=torch.zeros(2, 3, 3, 3)), "mid"),
    "mid, a matrix": (changed(mid=torch.zeros(2, 2)), "mid"),
    "mid besides a kernel": (changed(mid=torch.zeros(2, 2, 3, 3), down=torch.zeros(2, 32, 3, 3)), "mid"),
    "two alphas in one": (changed(alpha=torch.zeros(2)), "alpha"),
    "alpha true": (changed(alpha=torch.tensor(True)), "alpha"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_module_that_does_not_fit_itself(tmp_path: Path, case: str) -> None:
    tensors, text = BROKEN[case]
    message = refusal(tmp_path / "x.safetensors", tensors)
    assert KEY in message and text in message


@pytest.mark.parametrize("part", ["down", "up"])
def test_half_a_module(tmp_path: Path, part: str) -> None:
    tensors = {name: tensor for name, tensor in SOUND.items() if f"lora_{part}" not in name}
    assert f"{KEY}: its {part} is missing" in refusal(tmp_path / "x.safetensors", tensors)


def test_two_adapters_in_one_file(tmp_path: Path) -> None:
    tensors = {f"unet.conv_in.lora_{half}.{name}.weight": torch.zeros(2, 2) for half in "AB" for name in ("one", "two")}
    assert "there twice" in refusal(tmp_path / "x.safetensors", tensors)


OTHERS = {
    "VeRA": ["x.vera_lambda_b", "x.vera_lambda_d"],
    "an OFT of a PEFT before 0.16": ["base_model.model.x.oft_r"],
    "a whole model's weights": ["conv_in.weight", "conv_in.bias"],
    "register it as a checkpoint": ["model.diffusion_model.out.2.weight"],
    "a textual inversion": ["<cat>"],
    "(an embedding of new words)": ["clip_g", "clip_l"],
    "no LoRA modules": ["a", "b", "c", "d"],
    "no tensors": [],
    "bundle_emb.cat.clip_l: learned words": [*SOUND, "bundle_emb.cat.clip_l"],
    "emb_params: learned words": [*SOUND, "emb_params"],
    "trainable_tokens_delta: learned words": [*SOUND, "a.token_adapter.trainable_tokens_delta"],
    "lora_embedding_A: learned words": [*SOUND, "a.token_embedding.lora_embedding_A"],
}


@pytest.mark.parametrize("text", OTHERS)
def test_what_is_no_adapter_or_has_more_to_it(tmp_path: Path, text: str) -> None:
    tensors = {name: SOUND.get(name, torch.zeros(2, 2)) for name in OTHERS[text]}
    assert text in refusal(tmp_path / "x.safetensors", tensors)


# Each breaks one algorithm's own rule.
UNSOUND = {
    "LoHa, a factor missing": ({"hada_w1_a": (4, 2), "hada_w1_b": (2, 4)}, "its hada_w2_a is missing"),
    "LoHa of unlike ranks": (
        {"hada_w1_a": (4, 2), "hada_w1_b": (3, 4), "hada_w2_a": (4, 2), "hada_w2_b": (2, 4)},
        "different rank",
    ),
    "LoHa of unlike products": (
        {"hada_w1_a": (4, 2), "hada_w1_b": (2, 4), "hada_w2_a": (4, 2), "hada_w2_b": (2, 5)},
        "different shape",
    ),
    "LoHa, a vector": (
        {"hada_w1_a": (4,), "hada_w1_b": (2, 4), "hada_w2_a": (4, 2), "hada_w2_b": (2, 4)},
        "no matrices",
    ),
    "LoHa, a core alone": (
        {"hada_t1": (2, 2, 3, 3), "hada_w1_a": (2, 4), "hada_w1_b": (2, 4), "hada_w2_a": (2, 4), "hada_w2_b": (2, 4)},
        "its hada_t2 is missing",
    ),
    "LoKr, half of it": ({"lokr_w1": (2, 2)}, "its lokr_w2 is missing"),
    "LoKr, half a half": ({"lokr_w1": (2, 2), "lokr_w2_a": (2, 2)}, "its lokr_w2_b is missing"),
    "LoKr of unlike ranks": ({"lokr_w1": (2, 2), "lokr_w2_a": (2, 2), "lokr_w2_b": (3, 2)}, "different rank"),
    "LoKr, a vector": ({"lokr_w1": (2,), "lokr_w2": (2, 2)}, "no matrix"),
    "LoKr, a core of another rank": (
        {"lokr_w1": (2, 2), "lokr_w2_a": (2, 2), "lokr_w2_b": (2, 2), "lokr_t2": (3, 2, 3, 3)},
        "does not fit between",
    ),
    "(IA)^3, no vector": ({"weight": (2, 2), "on_input": ()}, "no vector"),
    "(IA)^3, two answers": ({"weight": (2,), "on_input": (2,)}, "one number"),
    "(IA)^3, a convolution that nothing is said of": ({"ia3_l": (1, 2, 1, 1)}, "adapter_config.json"),
    "OFT, blocks not square": ({"oft_blocks": (2, 2, 3)}, "no square blocks"),
    "OFT, both kinds": ({"oft_blocks": (2, 2, 2), "oft_diag": (2, 2, 2)}, "both there"),
    "OFT, a vector": ({"oft_blocks": (2,)}, "no square blocks"),
    "OFT, another rescaling": ({"oft_blocks": (2, 2, 2), "rescale": (3, 1)}, "rescale"),
    "BOFT, too many stages": ({"oft_blocks": (4, 2, 2, 2)}, "butterfly"),
    "OFT of PEFT, no triangle": ({"oft_R.weight": (2, 4)}, "no rotations"),
    "BOFT of PEFT, no scale": ({"boft_R": (1, 2, 2, 2)}, "its boft_s is missing"),
    "BOFT of PEFT, odd": ({"boft_R": (2, 3, 2, 2), "boft_s": (4, 1)}, "butterfly"),
    "GLoRA, a vector": (
        {"a1.weight": (2,), "a2.weight": (2, 2), "b1.weight": (2, 2), "b2.weight": (2, 2)},
        "no matrix",
    ),
    "five dimensions": ({"diff": (1, 1, 1, 1, 2)}, "neither"),
    "no numbers": ({"w_norm": (0,)}, "neither"),
}


@pytest.mark.parametrize("case", UNSOUND)
def test_a_module_of_any_algorithm_that_does_not_fit_itself(tmp_path: Path, case: str) -> None:
    shapes, text = UNSOUND[case]
    message = refusal(tmp_path / "x.safetensors", {f"{KEY}.{end}": torch.zeros(shape) for end, shape in shapes.items()})
    assert KEY in message and text in message


NESTED = f"{'[' * 900}{']' * 900}"


@pytest.mark.parametrize(
    "config",
    [
        *('{"lora_alpha": %s}', '{"alpha_pattern": {"x": %s}}', '{"peft_type": %s}'),
        *('{"alpha_pattern": %s}', '{"init_lora_weights": %s, "alpha_pattern": 1}'),
    ],
)
@pytest.mark.parametrize("value", [r'"\ud800"', NESTED, '{"x":' * 100 + "1" + "}" * 100, f'"{"x" * 1_000_000}"'])
def test_a_configuration_of_anything_is_refused_in_few_words(tmp_path: Path, config: str, value: str) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(safetensors.torch.save(SOUND, {"lora_adapter_metadata": config % value}))
    with pytest.raises(LoraInvalidError) as caught:
        LoraFile.open(path)
    assert len(caught.value.message.encode()) < 1000


def test_layers_that_are_not_here_are_left_over(tmp_path: Path, opened: dict[str, Components]) -> None:
    foreign = {
        "lora_unet_y.strange": torch.zeros(2),
        "lora_unet_y.alpha": torch.ones(()),
        "lora_unet_conv_in.alpha": torch.ones(()),
    }
    gone = {f"lora_unet_gone.lora_{part}.weight": torch.zeros(2, 2) for part in ("down", "up")}
    path = making.save(tmp_path / "x.safetensors", SOUND | foreign | gone)
    match = match_lora(LoraFile.open(path), opened["sd1"])
    assert [target.parameter for target in match.targets["unet"]] == ["mid_block.attentions.0.proj_in.weight"]
    assert match.left_over == tuple(sorted([*foreign, "lora_unet_gone"]))


@pytest.mark.parametrize(
    ("name", "shape", "text"),
    [
        (f"{KEY}.lambda_layer", (2,), f"{KEY}.lambda_layer: changes a layer here in a way that is not known"),
        ("unet.conv_in.p_layer.weight", (2,), "unet.conv_in.p_layer: changes a layer here in a way that"),
        (f"{KEY}.diff", (32, 33, 1, 1), r"diff (32, 33, 1, 1) do not fit mid_block.attentions.0.proj_in.weight"),
        ("lora_unet_conv_norm_out.diff_b", (17,), "diff_b (17,) do not fit conv_norm_out.bias"),
        (
            "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q.diff_b",
            (32,),
            "attn1_to_q: its layer has no bias here that it could change",
        ),
        ("lora_te_text_model_embeddings_token_embedding.diff", None, "a table of embeddings, which is not exchanged"),
        ("text_encoder.text_model.embeddings.token_embedding.weight", None, "a table of embeddings, which is not"),
    ],
)
def test_a_change_of_a_layer_here_is_made_or_refused(
    tmp_path: Path, opened: dict[str, Components], name: str, shape: tuple[int, ...] | None, text: str
) -> None:
    shape = shape or opened["sd1"]["encoder"].weights["embeddings.token_embedding.weight"].shape
    read = LoraFile.open(making.save(tmp_path / "x.safetensors", SOUND | {name: torch.zeros(shape)}))
    with pytest.raises(LoraInvalidError) as caught:
        match_lora(read, opened["sd1"])
    assert text in caught.value.message


@pytest.mark.parametrize(
    ("family", "layer", "taken", "left"),
    [
        ("sdxl", "down_blocks.1.attentions.0.proj_in", "lora_unet_{ours}.diff", "diffusion_model.{original}.diff_b"),
        ("sd1", "conv_in", "unet.{ours}.diff", "{ours}.bias"),
    ],
)
def test_a_layer_in_parts_under_two_names_is_refused(
    tmp_path: Path, opened: dict[str, Components], family: str, layer: str, taken: str, left: str
) -> None:
    unet = opened[family]["unet"]
    names = {"ours": layer, "original": original_name(unet, layer)}
    tensors = {
        taken.format(**names): torch.zeros(unet.weights[f"{layer}.weight"].shape),
        left.format(**names): torch.zeros(unet.weights[f"{layer}.bias"].shape),
    }
    read = LoraFile.open(making.save(tmp_path / "x.safetensors", tensors))
    with pytest.raises(LoraInvalidError, match="changes a layer here that has another name in the file"):
        match_lora(read, opened[family])


def test_a_rank_far_beyond_the_layers_extents_is_refused(tmp_path: Path, opened: dict[str, Components]) -> None:
    def read(rank: int) -> LoraFile:
        factors = changed(down=torch.zeros(rank, 32), up=torch.zeros(32, rank))
        return LoraFile.open(making.save(tmp_path / "x.safetensors", factors))

    assert match_lora(read(1024), opened["sd1"]).targets["unet"]
    with pytest.raises(LoraInvalidError, match=r"rank or block size 1025 is far beyond mid_block.*\(32, 32"):
        match_lora(read(1025), opened["sd1"])


def test_pickled_files_are_not_opened(tmp_path: Path) -> None:
    for name in ("a.pt", "a.bin", "a.CKPT", "a.pth"):
        with pytest.raises(LoraInvalidError, match="pickled"):
            LoraFile.open(tmp_path / name)


def test_headers_that_are_broken(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    for content in (b"", b"\xff" * 8 + b"{}", (2).to_bytes(8, "little") + b"[]"):
        path.write_bytes(content)
        with pytest.raises(LoraInvalidError) as caught:
            LoraFile.open(path)
        assert caught.value.metadata["file"] == str(path)
    with pytest.raises(LoraInvalidError, match="No such file"):
        LoraFile.open(tmp_path / "absent.safetensors")
    with pytest.raises(LoraInvalidError):
        LoraFile.open(tmp_path)


@pytest.mark.parametrize(
    ("down", "up"),
    [
        (torch.zeros(2, 33), torch.zeros(32, 2)),
        (torch.zeros(2, 32), torch.zeros(31, 2)),
        (torch.zeros(2, 32, 3, 3), torch.zeros(32, 2, 1, 1)),
        (torch.zeros(2, 8, 2, 2), torch.zeros(32, 2, 1, 1)),
    ],
)
def test_a_module_that_does_not_fit_the_parameter(
    tmp_path: Path, opened: dict[str, Components], down: torch.Tensor, up: torch.Tensor
) -> None:
    read = LoraFile.open(making.save(tmp_path / "x.safetensors", changed(down=down, up=up)))
    with pytest.raises(LoraInvalidError) as caught:
        match_lora(read, opened["sd1"])
    for part in (KEY, str(tuple(down.shape)), str(tuple(up.shape)), "(32, 32, 1, 1)"):
        assert part in caught.value.message


def test_a_lora_for_sdxl_says_so(tmp_path: Path, opened: dict[str, Components]) -> None:
    name = "down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    shapes = {"down": (2, 2048), "up": (16, 2)}
    wide = {f"lora_unet_{name}.lora_{part}.weight": torch.zeros(shape) for part, shape in shapes.items()}
    with pytest.raises(LoraInvalidError, match=r"do not fit .* another model \(SDXL, by the look of it\)"):
        match_lora(LoraFile.open(making.save(tmp_path / "a.safetensors", wide)), opened["sd1"])
    second = {f"lora_te2_text_model_x.lora_{part}.weight": torch.zeros(2, 2) for part in shapes}
    with pytest.raises(LoraInvalidError, match=r"none of its 1 modules .*lora_te2_text_model_x.*weight.*SDXL"):
        match_lora(LoraFile.open(making.save(tmp_path / "b.safetensors", second)), opened["sd1"])
    flux = {f"transformer.single_transformer_blocks.0.x.lora_{half}.weight": torch.zeros(2, 2) for half in "AB"}
    with pytest.raises(LoraInvalidError, match="Flux"):
        match_lora(LoraFile.open(making.save(tmp_path / "c.safetensors", flux)), opened["sd1"])


def test_long_names_and_many_tensors(tmp_path: Path, opened: dict[str, Components]) -> None:
    """Names are read in time that grows with their length, and messages stay short."""
    empty = torch.zeros(1, 1)
    for name in (".lora_A" * 100_000, "_lora" * 100_000, "a" * 500_000, ".alpha" * 100_000, "\n.lora_A.weight"):
        assert len(refusal(tmp_path / "x.safetensors", {name: empty})) < 1000
    words = "lora_unet_" * 20_000
    message = refusal(tmp_path / "x.safetensors", {f"{words}.diff": empty})
    assert "a name of 200005 characters, more than 512" in message and len(message) < 1000
    many = {f"lora_unet_{i}.lora_{part}.weight": empty.clone() for i in range(10_000) for part in ("down", "up")}
    with pytest.raises(LoraInvalidError) as caught:
        match_lora(LoraFile.open(making.save(tmp_path / "x.safetensors", many)), opened["sd1"])
    assert len(caught.value.message) < 1000


@pytest.mark.parametrize("algorithm", ["LoHa, Tucker", "LoKr", "BOFT", "GLoRA", "LoRA with DoRA", "(IA)^3", "OFT"])
def test_mutations_of_every_algorithm_merge_or_are_refused(
    tmp_path: Path, opened: dict[str, Components], algorithm: str
) -> None:
    chance = random.Random(algorithm)
    shape = opened["sd1"]["unet"].weights["mid_block.resnets.0.conv1.weight"].shape
    made = ALGORITHMS[algorithm](shape, torch.Generator().manual_seed(0))
    key = "lora_unet_mid_block_resnets_0_conv1"
    sound = safetensors.torch.save({f"{key}.{end}": tensor for end, tensor in made.tensors.items()})
    path = tmp_path / "x.safetensors"
    for _ in range(40):
        path.write_bytes(mutated(sound, chance))
        merged_or_refused(path, opened["sd1"])


@pytest.mark.parametrize("seed", range(4))
def test_mutations_merge_or_are_refused(tmp_path: Path, opened: dict[str, Components], seed: int) -> None:
    chance = random.Random(seed)
    components = opened["sd1"]
    lora = making.random_lora(components, only=making.attention_only)
    written = [making.kohya(lora), making.diffusers(lora), making.old_diffusers(lora), making.peft(lora)][seed]
    sound = safetensors.torch.save(written, {"lora_adapter_metadata": '{"unet.lora_alpha": 1}'})
    path = tmp_path / "x.safetensors"
    for _ in range(60):
        path.write_bytes(mutated(sound, chance))
        merged_or_refused(path, components)


def merged_or_refused(path: Path, components: Components) -> None:
    try:
        match = match_lora(LoraFile.open(path), components)
        for model, targets in match.targets.items():
            for target in targets:
                base = map_tensor(components[model].weights[target.parameter], {}).astype("f4")
                merged = merge(base, [(target, 1.0)], {})
                assert merged.shape == base.shape and np.isfinite(merged).all()
    except LoraInvalidError as error:
        assert error.metadata["file"] == str(path)

"""Which files are taken for a model's weights, by their names alone."""

from __future__ import annotations

import pytest

from triptych.contract.weight_files import choose_weights

PLAIN, FP16 = "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors"
BIN = "diffusion_pytorch_model.bin"
SHARDS = tuple(f"model-0000{number}-of-00002.safetensors" for number in (1, 2))
NEW_SHARDS = tuple(f"model.fp16-0000{number}-of-00002.safetensors" for number in (1, 2))
OLD_SHARDS = tuple(f"model-0000{number}-of-00002.fp16.safetensors" for number in (1, 2))


@pytest.mark.parametrize(
    ("names", "variant", "chosen"),
    [
        ([PLAIN, FP16, BIN, "config.json"], "", PLAIN),
        ([PLAIN, FP16, BIN], "fp16", FP16),
        ([PLAIN], "fp16", PLAIN),
        ([FP16, "diffusion_pytorch_model.non_ema.safetensors"], "", FP16),
        (["diffusion_pytorch_model.non_ema.safetensors"], "", "diffusion_pytorch_model.non_ema.safetensors"),
        (["model.bf16.safetensors", "model.non_ema.safetensors"], "", None),
        (["model.bf16.safetensors", "model.non_ema.safetensors"], "bf16", "model.bf16.safetensors"),
        ([BIN, FP16], "", FP16),
        ([BIN], "", BIN),
        (["pytorch_model.bin", "pytorch_model.fp16.bin"], "fp16", "pytorch_model.fp16.bin"),
        ([BIN, "diffusion_pytorch_model.fp16.bin", PLAIN], "fp16", "diffusion_pytorch_model.fp16.bin"),
        (["model.safetensors", "model.safetensors.index.json", *SHARDS], "", "model.safetensors"),
        (["model.safetensors.index.json", *SHARDS], "", "model.safetensors.index.json"),
        (["model.safetensors.index.fp16.json", *NEW_SHARDS], "fp16", "model.safetensors.index.fp16.json"),
        (["model.safetensors.fp16.index.json", *OLD_SHARDS], "fp16", "model.safetensors.fp16.index.json"),
        (["model.fp16.safetensors.index.json", *OLD_SHARDS], "fp16", "model.fp16.safetensors.index.json"),
        (["pytorch_model.bin.index.json"], "", "pytorch_model.bin.index.json"),
        (["openvino_model.bin", "flax_model.msgpack", "optimizer.bin", "unet.safetensors"], "", None),
        ([], "", None),
    ],
)
def test_the_variant_then_the_plain_one_then_the_only_one(names: list[str], variant: str, chosen: str | None) -> None:
    weights = choose_weights(names, variant)
    assert (weights.name if weights else None) == chosen
    assert choose_weights(reversed(names), variant) == weights


@pytest.mark.parametrize("shards", [NEW_SHARDS, OLD_SHARDS])
def test_shards_without_an_index_are_taken_where_none_is_missing(shards: tuple[str, ...]) -> None:
    weights = choose_weights(reversed(shards), "fp16")
    assert weights is not None and weights.files == shards and weights.variant == "fp16"
    assert choose_weights(shards[:1], "fp16") is None


def test_diffusers_own_base_comes_first() -> None:
    weights = choose_weights(["model.safetensors", PLAIN, "pytorch_model.safetensors"])
    assert weights is not None and weights.name == PLAIN

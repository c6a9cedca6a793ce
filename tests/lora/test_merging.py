"""Merged weights do what the LoRA's own layers do beside the untouched ones; the base is never changed."""

from __future__ import annotations

import mmap
from dataclasses import replace
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import numpy.typing as npt
import pytest
import safetensors.torch
import torch
import torch.nn.functional as F  # noqa: N812

from triptych.errors import LoraInvalidError
from triptych.lora import LoraFile, Target, merge
from triptych.lora import merging as merging_module

KEY = "lora_unet_x"


def target(path: Path, alpha: object = None, **tensors: torch.Tensor) -> Target:
    named = {f"{KEY}.lora_{part}.weight": tensor for part, tensor in tensors.items()}
    if alpha is not None:
        named[f"{KEY}.alpha"] = torch.tensor(alpha)
    safetensors.torch.save_file(named, path)
    (module,) = LoraFile.open(path).modules
    return Target("x.weight", module)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


def as_array(tensor: torch.Tensor) -> npt.NDArray[np.float32]:
    array: npt.NDArray[np.float32] = tensor.numpy()
    return array


def test_a_convolution_in_two_and_in_three_factors(tmp_path: Path) -> None:
    base, x = random(6, 5, 3, 3), random(1, 5, 8, 8)
    down, up = random(4, 5, 3, 3), random(6, 4, 1, 1)
    merged = merge(as_array(base), [(target(tmp_path / "a", 2.0, down=down, up=up), 0.5)], {})
    expected = F.conv2d(x, base, padding=1) + 0.5 * 2 / 4 * F.conv2d(F.conv2d(x, down, padding=1), up)
    torch.testing.assert_close(F.conv2d(x, torch.from_numpy(merged), padding=1), expected, rtol=1e-5, atol=1e-4)
    narrow, mid = random(4, 5, 1, 1), random(4, 4, 3, 3)
    merged = merge(as_array(base), [(target(tmp_path / "b", 2.0, down=narrow, mid=mid, up=up), 0.5)], {})
    beside = F.conv2d(F.conv2d(F.conv2d(x, narrow), mid, padding=1), up)
    expected = F.conv2d(x, base, padding=1) + 0.5 * 2 / 4 * beside
    torch.testing.assert_close(F.conv2d(x, torch.from_numpy(merged), padding=1), expected, rtol=1e-5, atol=1e-4)


def test_several_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base = as_array(random(70, 30))
    base.flags.writeable = False
    before = base.copy()
    contributions = []
    expected = base.astype(np.float64)
    for i, (rank, weight) in enumerate([(1, 1.0), (8, -0.5), (3, 0.25)]):
        down, up = random(rank, 30, seed=i), random(70, rank, seed=i)
        contributions.append((target(tmp_path / str(i), float(i), down=down, up=up), weight))
        expected += weight * i / rank * (up.double() @ down.double()).numpy()
    maps: dict[Path, mmap.mmap] = {}
    merged = merge(base, contributions, maps)
    np.testing.assert_allclose(merged, expected, rtol=0, atol=1e-5)
    assert merged.flags.c_contiguous and merged.dtype == np.float32 and not np.shares_memory(merged, base)
    assert np.array_equal(base, before)
    assert np.array_equal(merge(base, contributions, maps), merged) and len(maps) == 3
    # In pieces it is the same.
    monkeypatch.setattr(merging_module, "_CHUNK_ELEMENTS", 64)
    np.testing.assert_allclose(merge(base, contributions, maps), expected, rtol=0, atol=1e-5)


def test_nothing_to_add_is_a_copy() -> None:
    base = np.asfortranarray(as_array(random(4, 3)))
    merged = merge(base, [], {})
    assert np.array_equal(merged, base) and merged.flags.c_contiguous and not np.shares_memory(merged, base)


@pytest.mark.parametrize("part", ["down", "up", "mid", "alpha"])
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 3e38])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_numbers_that_are_not_finite(tmp_path: Path, part: str, value: float, dtype: torch.dtype) -> None:
    tensors = {
        "down": random(2, 5, 1, 1).to(dtype),
        "mid": random(2, 2, 3, 3).to(dtype),
        "up": random(6, 2, 1, 1).to(dtype),
    }
    alpha = value if part == "alpha" else 1.0
    if part != "alpha":
        tensors[part].view(-1)[1] = value
    spoilt = target(tmp_path / "x", alpha, **tensors)
    with pytest.raises(LoraInvalidError, match=f"{KEY}: its numbers are not finite") as caught:
        merge(np.zeros((6, 5, 3, 3), np.float32), [(spoilt, 1.0)], {})
    assert caught.value.metadata["file"] == str(tmp_path / "x")


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), 1e308])
def test_weights_that_are_absurd(tmp_path: Path, weight: float) -> None:
    sound = target(tmp_path / "x", down=random(2, 5), up=random(6, 2))
    with pytest.raises(LoraInvalidError):
        merge(np.zeros((6, 5), np.float32), [(sound, weight)], {})


def test_a_file_that_is_gone_or_shorter_by_now(tmp_path: Path) -> None:
    sound = target(tmp_path / "x", down=random(2, 5), up=random(6, 2))
    for content in (b"short", b""):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(LoraInvalidError, match="cannot be read any more"):
            merge(np.zeros((6, 5), np.float32), [(sound, 1.0)], {})
    (tmp_path / "x").unlink()
    with pytest.raises(LoraInvalidError, match="cannot be read any more"):
        merge(np.zeros((6, 5), np.float32), [(sound, 1.0)], {})


def test_factors_that_cannot_be_multiplied_are_refused_by_the_module(tmp_path: Path) -> None:
    sound = target(tmp_path / "x", down=random(2, 2), up=random(6, 2))
    tensors = {**sound.module.tensors, "mid": sound.module.tensors["down"]}
    spoilt = replace(sound, module=replace(sound.module, tensors=tensors))
    with pytest.raises(LoraInvalidError, match=rf"{KEY}: cannot be applied to x\.weight") as caught:
        merge(np.zeros((6, 2), np.float32), [(spoilt, 1.0)], {})
    assert caught.value.metadata["file"] == str(tmp_path / "x")


@pytest.mark.parametrize("dtype", [np.dtype(np.float16), np.dtype(ml_dtypes.bfloat16)])
def test_what_is_half_is_summed_in_float32_and_rounded_once(tmp_path: Path, dtype: np.dtype[Any]) -> None:
    base = as_array(random(70, 30)).astype(dtype)
    contributions = [(target(tmp_path / "a", down=random(4, 30), up=random(70, 4)), 0.5)]
    merged = merge(base, contributions, {})
    assert merged.dtype == dtype
    assert np.array_equal(merged, merge(base.astype(np.float32), contributions, {}).astype(dtype))


def test_what_no_half_can_hold_is_refused(tmp_path: Path) -> None:
    base = np.full((8, 8), 60_000, np.float16)
    contributions = [(target(tmp_path / "a", down=torch.full((4, 8), 100.0), up=torch.full((8, 4), 100.0)), 1.0)]
    with pytest.raises(LoraInvalidError, match=r"lora_unet_x: with it x\.weight is beyond .* type, float16"):
        merge(base, contributions, {})

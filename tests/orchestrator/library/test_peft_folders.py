"""A PEFT folder keeps its alpha on every way into the registry: merged, it gives what the folder itself gives."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from safetensors.numpy import save_file

from triptych import demo
from triptych.checkpoint import Checkpoint, Component
from triptych.checkpoint.safetensors import map_tensor
from triptych.lora import LoraFile, match_lora, merge
from triptych.sdk.loras import upload
from triptych_orchestrator.jobs.asked import Asked
from triptych_orchestrator.jobs.validation import check
from triptych_orchestrator.library.entry import Entry
from triptych_orchestrator.library.loras.choice import LoraChooser
from triptych_orchestrator.library.loras.registry import LoraRegistry
from triptych_orchestrator.settings import Limits

PLACE = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"
RANK, ALPHA = 2, 7
WEIGHT = 0.8


@pytest.fixture(scope="module")
def components() -> dict[str, Component]:
    return dict(Checkpoint.open(demo.checkpoint_path()).components)


@pytest.fixture
def folder(tmp_path: Path, components: dict[str, Component]) -> Path:
    random = np.random.default_rng(0)
    rows, columns = components["unet"].weights[f"{PLACE}.weight"].shape
    key = f"base_model.model.{PLACE}"
    tensors = {
        f"{key}.lora_A.weight": random.standard_normal((RANK, columns), np.float32),
        f"{key}.lora_B.weight": random.standard_normal((rows, RANK), np.float32),
    }
    folder = tmp_path / "peft"
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA}))
    return folder


@pytest.fixture
def registry(tmp_path: Path) -> LoraRegistry:
    return LoraRegistry(tmp_path / "loras", Limits())


def merged(file: LoraFile, components: dict[str, Component]) -> npt.NDArray[np.float32]:
    (target,) = match_lora(file, components).targets["unet"]
    base = map_tensor(components["unet"].weights[target.parameter], {}).astype(np.float32)
    return merge(base, [(target, WEIGHT)], {})


async def uploaded(path: Path) -> AsyncGenerator[bytes, None]:
    for message in list(upload("ink", path))[1:]:
        yield message.chunk


@pytest.mark.parametrize("way", ["--lora FOLDER", "--lora FILE", "upload"])
async def test_alpha_comes_along(
    registry: LoraRegistry, components: dict[str, Component], folder: Path, tmp_path: Path, way: str
) -> None:
    file = folder / "adapter_model.safetensors"
    source = {"--lora FOLDER": folder, "--lora FILE": file, "upload": uploaded(folder)}[way]
    kept = await registry.add("ink", source)
    assert [module.alpha for module in LoraFile.open(kept.path).modules] == [ALPHA]
    expected = merged(LoraFile.open(file), components)
    np.testing.assert_array_equal(merged(LoraFile.open(kept.path), components), expected)
    again = LoraRegistry(tmp_path / "loras", Limits()).get("ink")
    np.testing.assert_array_equal(merged(LoraFile.open(again.path), components), expected)
    assert await registry.add("ink", file) is kept  # all ways send the same bytes


async def test_a_file_without_its_alpha_is_a_warning(registry: LoraRegistry, folder: Path) -> None:
    entry = Entry("demo", demo.checkpoint_path(), "onnxruntime")
    entry.open()
    assert entry.checkpoint is not None
    await registry.add("whole", folder)
    (folder / "adapter_config.json").unlink()
    await registry.add("half", folder)
    asked = check(Asked(prompt="<lora:half><lora:whole>"), entry.checkpoint, Limits())
    async with LoraChooser(registry).choose(asked.loras, entry) as choice:
        assert choice.warnings == ("lora 'half' says nothing of its alpha; alpha = rank was taken",)

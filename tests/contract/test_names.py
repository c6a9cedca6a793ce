from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from triptych.contract.names import check_checkpoint_name, check_lora_name, checkpoint_name
from triptych.errors import InvalidArgumentError


@pytest.mark.parametrize("name", ["sd15", "v1.5_a-b", "0", "x" * 64])
def test_checkpoints_can_have_these_names(name: str) -> None:
    check_checkpoint_name("name", name)


@pytest.mark.parametrize("name", ["ink", "ink (2)", "Tusche ä", "-", "x" * 128])
def test_loras_can_have_these_names(name: str) -> None:
    check_lora_name("name", name)


@pytest.mark.parametrize("name", ["", ".", "../up", "a/b", "trailing\n", "demo~", "\ud800", "x" * 129])
@pytest.mark.parametrize("check", [check_checkpoint_name, check_lora_name])
def test_nothing_can_have_these(check: Callable[[str, str], None], name: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^name: .* must be 1 to ") as caught:
        check("name", name)
    assert caught.value.metadata["field"] == "name"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/models/sd_xl_base_1.0.safetensors", "sd_xl_base_1.0"),
        ("v1-5-pruned.ckpt", "v1-5-pruned"),
        ("control_v11p_sd15_canny.pth", "control_v11p_sd15_canny"),
        ("/models/stable-diffusion-v1.5", "stable-diffusion-v1.5"),
        ("/models/My model (v2).safetensors", "My-model-v2"),
        ("/models/.hidden", "hidden"),
        ("/models/日本.safetensors", "checkpoint"),
        ("x" * 100, "x" * 64),
    ],
)
def test_a_checkpoint_is_called_as_its_file_or_folder_is(path: str, name: str) -> None:
    assert checkpoint_name(Path(path)) == name
    check_checkpoint_name("name", name)


def test_what_only_loras_can_have() -> None:
    with pytest.raises(InvalidArgumentError, match=r"^checkpoints: 'ink \(2\)'"):
        check_checkpoint_name("checkpoints", "ink (2)")
    with pytest.raises(InvalidArgumentError, match="x" * 65):
        check_checkpoint_name("checkpoints", "x" * 65)

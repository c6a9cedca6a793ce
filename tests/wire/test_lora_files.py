"""What is sent of a LoRA's file: its own bytes, but for PEFT's, whose configuration comes along in the header."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from triptych.errors import InvalidArgumentError
from triptych.wire.lora_files import CHUNK_BYTES, lora_chunks

CONFIG = {"peft_type": "LORA", "r": 2, "lora_alpha": 6, "base_model_name_or_path": "ä"}
PEFT = ("base_model.model.to_q.lora_A.weight", "base_model.model.to_q.lora_B.weight")


def saved(path: Path, names: tuple[str, ...] = PEFT, metadata: dict[str, str] | None = None) -> Path:
    path.parent.mkdir(exist_ok=True)
    tensors = {name: np.arange(12, dtype=np.float32).reshape(3, 4) + index for index, name in enumerate(names)}
    save_file(tensors, path, metadata)
    return path


def configured(folder: Path, text: str | bytes | None = None) -> Path:
    folder.mkdir(exist_ok=True)
    config = json.dumps(CONFIG) if text is None else text
    (folder / "adapter_config.json").write_bytes(config if isinstance(config, bytes) else config.encode())
    return folder


def sent(path: Path | str) -> bytes:
    return b"".join(lora_chunks(path))


def opened(content: bytes, folder: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Tensors and metadata, as safetensors' own reader has them."""
    copy = folder / "sent.safetensors"
    copy.write_bytes(content)
    with safe_open(copy, "numpy") as file:
        metadata = file.metadata()
    return load_file(copy), metadata


@pytest.mark.parametrize("metadata", [None, {"format": "pt"}])
def test_the_configuration_comes_along(tmp_path: Path, metadata: dict[str, str] | None) -> None:
    file = saved(configured(tmp_path / "peft") / "adapter_model.safetensors", metadata=metadata)
    content = sent(file)
    tensors, sent_metadata = opened(content, tmp_path)
    before, _ = opened(file.read_bytes(), tmp_path)
    assert json.loads(sent_metadata.pop("lora_adapter_metadata")) == CONFIG
    assert sent_metadata == (metadata or {})
    assert tensors.keys() == before.keys()
    assert all(np.array_equal(tensors[name], before[name]) for name in before)
    assert int.from_bytes(content[:8], "little") % 8 == 0
    assert sent(file) == content  # and so has the same digest


@pytest.mark.parametrize("end", ["lokr_w1", "hada_w1_a", "ia3_l", "oft_R.weight", "boft_R"])
def test_the_configuration_of_every_algorithm_comes_along(tmp_path: Path, end: str) -> None:
    file = saved(configured(tmp_path / "peft") / "adapter_model.safetensors", (f"base_model.model.to_q.{end}",))
    _, metadata = opened(sent(file), tmp_path)
    assert json.loads(metadata["lora_adapter_metadata"]) == CONFIG


def test_a_folder_stands_for_the_lora_in_it(tmp_path: Path) -> None:
    folder = configured(tmp_path / "peft")
    diffusers = saved(folder / "pytorch_lora_weights.safetensors", ("unet.to_q.lora_A.weight",))
    assert sent(folder) == diffusers.read_bytes()
    peft = saved(folder / "adapter_model.safetensors")
    assert sent(folder) == sent(str(peft)) != peft.read_bytes()


@pytest.mark.parametrize(
    ("names", "metadata"),
    [
        (("lora_unet_to_q.lora_down.weight",), None),
        (("unet.to_q.lora_A.weight", "unet.to_q.lora_B.weight"), None),
        (PEFT, {"lora_adapter_metadata": "{}"}),
    ],
)
def test_other_files_are_sent_as_they_are(
    tmp_path: Path, names: tuple[str, ...], metadata: dict[str, str] | None
) -> None:
    file = saved(configured(tmp_path / "other", "no JSON") / "x.safetensors", names, metadata)
    assert sent(file) == file.read_bytes()


def test_without_a_configuration_nothing_changes(tmp_path: Path) -> None:
    file = saved(tmp_path / "adapter_model.safetensors")
    assert sent(file) == file.read_bytes()


def header(text: bytes, length: int | None = None) -> bytes:
    return (len(text) if length is None else length).to_bytes(8, "little") + text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"short",
        header(b"{", 1),
        header(b"[1]"),
        header(b"{}", 100),
        header(b"[" * 100_000),
        header(b"\xff\xfe\xfd"),
        header(b'{"a.lora_A.weight": {}, "__metadata__": 7}'),
        header(b" " * 8_000_001),
        header(b"{}", 1 << 63) + b"the rest",
    ],
)
def test_what_is_broken_is_the_servers_to_refuse(tmp_path: Path, content: bytes) -> None:
    file = configured(tmp_path / "broken") / "adapter_model.safetensors"
    file.write_bytes(content)
    assert sent(file) == content


def test_chunks_are_of_one_size(tmp_path: Path) -> None:
    file = configured(tmp_path / "large") / "x.safetensors"
    file.write_bytes(bytes(CHUNK_BYTES + 5))
    assert [len(chunk) for chunk in lora_chunks(file)] == [CHUNK_BYTES, 5]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "7", b"\xff\xfe\xfd", "[" * 100_000, '{"x": "' + "y" * 1_000_000 + '"}']
)
def test_a_broken_configuration_is_named(tmp_path: Path, text: str | bytes) -> None:
    file = saved(configured(tmp_path / "peft", text) / "adapter_model.safetensors")
    with pytest.raises(InvalidArgumentError, match=r"^path: .*adapter_config\.json is ") as caught:
        sent(file)
    assert caught.value.metadata == {"field": "path", "file": str(file.with_name("adapter_config.json"))}


def test_what_cannot_be_read_is_said(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match=r"nothing cannot be read: No such file"):
        sent(tmp_path / "nothing")
    with pytest.raises(InvalidArgumentError, match=r"is a directory without adapter_model\.safetensors or pytorch"):
        sent(tmp_path)


def test_a_pickled_file_is_sent_as_it_is_but_for_what_lies_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "pytorch_lora_weights.bin"
    file.write_bytes(b"PK\3\4" + b"x" * 100)
    assert sent(file) == sent(tmp_path) == file.read_bytes()
    configured(tmp_path)
    with pytest.raises(InvalidArgumentError, match="save it as safetensors"):
        sent(file)

"""A LoRA's file as it is sent: PEFT keeps alpha in a second file, whose text travels in the header of the first.

for chunk in lora_chunks("ink.safetensors"): ...   # or the folder that PEFT or diffusers wrote

The format is 8 bytes of header length, little-endian; a JSON header; the tensors' bytes, at places counted from the
header's end (https://github.com/huggingface/safetensors#format): a longer header moves nothing.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

from triptych.errors import InvalidArgumentError, invalid

CHUNK_BYTES = 1 << 20

_FILE_NAMES = ("adapter_model.safetensors", "pytorch_lora_weights.safetensors", "pytorch_lora_weights.bin")
_PICKLED = frozenset({".bin", ".ckpt", ".pt", ".pth"})
_CONFIG_NAME = "adapter_config.json"
# The name that diffusers gave it.
_METADATA_KEY = "lora_adapter_metadata"
# Servers read no larger ones.
_HEADER_LIMIT_BYTES = 8_000_000
_CONFIG_LIMIT_BYTES = 1_000_000
_ALIGNMENT_BYTES = 8
# Names that begin so are diffusers', which says alpha in the file itself.
_DIFFUSERS_PREFIXES = ("unet.", "text_encoder.", "text_encoder_2.")
# What PEFT alone has in its names.
_PEFT = "base_model.model."
_PEFT_PARTS = (".lora_A.", ".ia3_l", ".oft_R", ".boft_R")


def lora_chunks(path: str | os.PathLike[str]) -> Iterator[bytes]:
    """A file's bytes in order, with the `adapter_config.json` beside it in its header if PEFT wrote it.

    A directory stands for the LoRA in it. What is no sound safetensors file is sent as it is: the server reads torch's
    pickled files, without running them, and says of others why not.

    Raises:
        InvalidArgumentError: the file cannot be read, or the configuration beside it is no JSON object, or the file one
            of torch's, which cannot bring it along.
    """
    file = lora_file(Path(path).expanduser())
    try:
        with file.open("rb") as stream:
            yield from _start(file, stream)
            while chunk := stream.read(CHUNK_BYTES):
                yield chunk
    except OSError as error:
        raise _unreadable(file, error) from error


def lora_file(path: Path) -> Path:
    """The file itself, or the one that a directory stands for; InvalidArgumentError if the directory has none."""
    if not path.is_dir():
        return path
    found = next((path / name for name in _FILE_NAMES if (path / name).is_file()), None)
    if found is None:
        raise invalid("path", f"{path} is a directory without {' or '.join(_FILE_NAMES)}")
    return found


def _start(file: Path, stream: BinaryIO) -> Iterator[bytes]:
    """The new header and its length, `stream` after the old; or nothing, `stream` at its beginning."""
    beside = file.with_name(_CONFIG_NAME)
    if beside.is_file() and file.suffix.lower() in _PICKLED:
        problem = f"is pickled and cannot bring along the {_CONFIG_NAME} beside it; save it as safetensors"
        raise _unusable(file, problem)
    header = _header(stream) if beside.is_file() else None
    if header is None or not _needs_config(header):
        stream.seek(0)
        return
    metadata = {**(header.get("__metadata__") or {}), _METADATA_KEY: json.dumps(_config(beside))}
    text = json.dumps({**header, "__metadata__": metadata}, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNMENT_BYTES)
    yield len(text).to_bytes(8, "little") + text


def _header(stream: BinaryIO) -> dict[str, Any] | None:
    """The header, `stream` after it; None if it is broken."""
    length = int.from_bytes(stream.read(8), "little")
    if length > _HEADER_LIMIT_BYTES:
        return None
    text = stream.read(length)
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return header if len(text) == length and isinstance(header, dict) else None


def _needs_config(header: Mapping[str, Any]) -> bool:
    metadata = header.get("__metadata__") or {}
    if not isinstance(metadata, dict) or _METADATA_KEY in metadata:
        return False
    by_peft = any(name.startswith(_PEFT) or any(part in name for part in _PEFT_PARTS) for name in header)
    return by_peft and not any(name.startswith(_DIFFUSERS_PREFIXES) for name in header)


def _config(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > _CONFIG_LIMIT_BYTES:
            raise _unusable(path, f"is larger than {_CONFIG_LIMIT_BYTES} bytes, which no configuration is")
        config = json.loads(path.read_bytes())
    except OSError as error:
        raise _unreadable(path, error) from error
    except (ValueError, RecursionError) as error:
        raise _unusable(path, f"is not readable as JSON: {error}") from error
    if not isinstance(config, dict):
        raise _unusable(path, "is no JSON object")
    return config


def _unreadable(path: Path, error: OSError) -> InvalidArgumentError:
    return _unusable(path, f"cannot be read: {error.strerror or error}")


def _unusable(path: Path, problem: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"path: {path} {problem}", field="path", file=str(path))

"""LoRAs on the wire: what the server keeps, the upload of a file, and the `loras` of a request.

for part in upload("ink", "ink.safetensors"): ...   # AddLoraRequest messages
lora_use(("ink", 0.8))                              # a LoraUse message
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, TypeAlias

from triptych.errors import invalid
from triptych.sdk.fields import filled
from triptych.sdk.plain import plain
from triptych.v1.generation_pb2 import LoraUse
from triptych.v1.loras_pb2 import AddLoraRequest
from triptych.wire.lora_files import lora_chunks

LoraChoice: TypeAlias = str | tuple[str, float] | tuple[str, float, float]
"""A name; (name, weight); or (name, UNet's weight, text encoder's weight).

"name@3f2a90c1", with at least 8 digits of a digest, is that very file, whatever the name means by then.
"""


@dataclass(frozen=True)
class Lora:
    """A LoRA that the server keeps."""

    name: str
    """Of a file that a name meant formerly: "name@digest"."""
    digest: str
    """SHA-256 of the file, in hexadecimal."""
    size_bytes: int
    """Of the file."""
    format: str
    """The file's layout: "kohya", "diffusers" or "peft"."""
    modules: int
    """Layers that it changes."""
    rank: int
    """The largest among them; 0 where none has one."""
    error: str = ""
    """Why it cannot be used, for its file is gone or was changed; else empty. Adding the file again mends it."""
    algorithms: list[str] = field(default_factory=list)
    """What it is made with: "LoRA", "LoHa", "LoKr with DoRA"."""


def decode_lora(message: Any) -> Lora:
    """From a triptych.v1.Lora."""
    return plain(Lora, message)


def upload(name: str, path: str | os.PathLike[str], replace: bool = False) -> Iterator[AddLoraRequest]:
    """The messages that bring a file, the name first; InvalidArgumentError at once if it cannot be read."""
    named = filled(AddLoraRequest(replace=replace), name=name)
    chunks = lora_chunks(path)
    first = next(chunks, b"")  # opens the file
    return chain([named], (AddLoraRequest(chunk=chunk) for chunk in chain([first], chunks)))


def lora_use(choice: LoraChoice) -> LoraUse:
    """One of a request's `loras` as its message; InvalidArgumentError if it has another form."""
    try:
        name, *weights = (choice,) if isinstance(choice, str) else choice
        if len(weights) <= 2 and None not in weights:
            return LoraUse(name=name, **dict(zip(("weight", "text_encoder_weight"), weights, strict=False)))
    except (TypeError, ValueError) as error:
        raise invalid("loras", f"{_EXPECTED}, not {choice!r}") from error
    raise invalid("loras", f"{_EXPECTED}, not {choice!r}")


def lora_uses(choices: Sequence[LoraChoice]) -> list[LoraUse]:
    """All of a request's, in order."""
    if isinstance(choices, str) or not isinstance(choices, Sequence):
        raise invalid("loras", f"{_EXPECTED}, not {choices!r}")
    return [lora_use(choice) for choice in choices]


_EXPECTED = "must be a list of names, (name, weight) or (name, UNet's weight, text encoder's weight)"

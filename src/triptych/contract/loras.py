"""How the orchestrator names a set of LoRAs to a stage: a key on every call, the set itself when the key is new.

lora_set = (LoraWeight(digest, "/run/loras/<digest>.safetensors", 0.8),)
lora_key(lora_set)  # 16 bytes; all zero for the untouched checkpoint
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

LORA_KEY_BYTES = 16
NO_LORAS = bytes(LORA_KEY_BYTES)


@dataclass(frozen=True)
class LoraWeight:
    """One file of a set: SHA-256 in hexadecimal, where the stage finds it, and the weight for this stage's model."""

    digest: str
    path: str
    weight: float


def lora_key(lora_set: Sequence[LoraWeight]) -> bytes:
    """Names the set by what it does: contents, weights and order, not paths."""
    if not lora_set:
        return NO_LORAS
    content = json.dumps([[lora.digest, lora.weight] for lora in lora_set])
    return hashlib.blake2b(content.encode(), digest_size=LORA_KEY_BYTES).digest()


def encode_lora_set(lora_set: Sequence[LoraWeight]) -> bytes:
    """The set as JSON, for the `loras` tensor."""
    return json.dumps([asdict(lora) for lora in lora_set]).encode()


def decode_lora_set(content: bytes) -> tuple[LoraWeight, ...]:
    """The inverse; ValueError if the content is nothing of the kind."""
    try:
        entries = json.loads(content)
        lora_set = tuple(LoraWeight(str(e["digest"]), str(e["path"]), float(e["weight"])) for e in entries)
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"not a list of digest, path and weight: {error}") from error
    return lora_set

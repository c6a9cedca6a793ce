"""A LoRA file's name for good, the SHA-256 of its content, held against what lies there now."""

from __future__ import annotations

import hashlib
from pathlib import Path


def has_digest(path: Path, digest: str) -> bool:
    """Whether the file's SHA-256 is `digest`, in hexadecimal; OSError if it cannot be read."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == digest

"""What a gateway signs with: random bytes in a file, the same for every gateway that shares it.

secret = Secret.kept(folder / "secret")
key = secret("sessions")
"""

from __future__ import annotations

import hashlib
import os
import secrets
from pathlib import Path

from triptych.errors import FailedPreconditionError

_BYTES = 32


class Secret:
    """Gives a key for each purpose, of which none tells another."""

    def __init__(self, value: bytes) -> None:
        self._value = value

    def __call__(self, purpose: str) -> bytes:
        """32 bytes."""
        return hashlib.blake2b(purpose.encode(), key=self._value, digest_size=32).digest()

    @classmethod
    def kept(cls, path: Path) -> Secret:
        """That of the file, which is made where it is not there."""
        try:
            if not path.exists():
                _make(path)
            value = path.read_bytes()
        except OSError as error:
            raise FailedPreconditionError(f"secret_file: {path} cannot be used: {error.strerror}") from error
        if len(value) < _BYTES:
            raise FailedPreconditionError(f"secret_file: {path} must have {_BYTES} random bytes at least")
        return cls(hashlib.blake2b(value).digest())


def _make(path: Path) -> None:
    """Whole or not at all: a gateway beside this one may be making it too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    own = path.with_name(f".{path.name}-{secrets.token_hex(8)}")
    with os.fdopen(os.open(own, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(secrets.token_bytes(_BYTES))
    try:
        path.hardlink_to(own)
    except FileExistsError:
        pass
    finally:
        own.unlink()

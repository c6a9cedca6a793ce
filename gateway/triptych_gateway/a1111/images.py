"""Pictures as answers have them: base64, without the head of a data URI."""

from __future__ import annotations

import binascii


def encoded(file: bytes) -> str:
    """A file's bytes as text."""
    return binascii.b2a_base64(file, newline=False).decode("ascii")

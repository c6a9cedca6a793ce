"""Pictures in and out as the API has them: base64, with the head of a data URI or without."""

from __future__ import annotations

import binascii
import re

from triptych.errors import invalid

_DATA_URI = re.compile(r"data:[\w.+-]+/[\w.+-]+;base64,", re.ASCII)
_URL = re.compile(r"https?://", re.IGNORECASE)


def decoded(field: str, text: str) -> bytes:
    """A file's bytes; nothing of it is looked at."""
    text = text.strip()
    if _URL.match(text):
        raise invalid(field, "is a URL, which this server does not fetch; send the picture itself as base64")
    if not text:
        raise invalid(field, "is empty; send a picture as base64")
    head = _DATA_URI.match(text)
    try:
        return binascii.a2b_base64(text[head.end() :] if head else text)
    except (binascii.Error, ValueError) as error:
        raise invalid(field, f"is no base64: {error}") from error


def encoded(file: bytes) -> str:
    """Without a head."""
    return binascii.b2a_base64(file, newline=False).decode("ascii")

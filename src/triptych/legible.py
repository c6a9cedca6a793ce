"""Text that may be a stranger's, a checkpoint's say, made fit for messages, logs and terminals."""

from __future__ import annotations


def legible(text: str, limit_bytes: int) -> str:
    """At most `limit_bytes` of valid UTF-8: what cannot be shown is escaped, and an ellipsis stands for what is cut."""
    # A sign has at least one byte: what lies beyond the limit need not be looked at.
    signs = _read_as_utf8(text[: limit_bytes + 1])
    shown = "".join(sign if sign.isprintable() or sign in "\n\t" else _escape(sign) for sign in signs)
    encoded = shown.encode()
    if len(encoded) <= limit_bytes:
        return shown
    return encoded[: limit_bytes - 3].decode(errors="ignore") + "…"


def _read_as_utf8(text: str) -> str:
    """The text, bytes of file names that Python could not read where it runs (PEP 383) read as UTF-8 if they are."""
    try:
        return text.encode(errors="surrogateescape").decode(errors="surrogateescape")
    except UnicodeEncodeError:  # halves of characters that are no such bytes
        return text


def _escape(sign: str) -> str:
    return sign.encode("unicode_escape").decode()

"""Text that may be a stranger's, a checkpoint's say, made fit for messages, logs and terminals."""

from __future__ import annotations


def legible(text: str, limit_bytes: int) -> str:
    """At most `limit_bytes` of valid UTF-8: what cannot be shown is escaped, and an ellipsis stands for what is cut."""
    # A sign has at least one byte: what lies beyond the limit need not be looked at.
    shown = "".join(sign if sign.isprintable() or sign in "\n\t" else _escape(sign) for sign in text[: limit_bytes + 1])
    encoded = shown.encode()
    if len(encoded) <= limit_bytes:
        return shown
    return encoded[: limit_bytes - 3].decode(errors="ignore") + "…"


def _escape(sign: str) -> str:
    return sign.encode("unicode_escape").decode()

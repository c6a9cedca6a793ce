"""The invisible watermark's format: that of `dwtDct` of the package invisible-watermark, with a message of 16 bytes.

A picture's U, 0.492 (B - Y) + 128 of 8 bits, goes through one level of the Haar transform. Of its low frequencies, each
the half of what two by two pixels come to, every block of four by four says one bit, row by row and the message again
and again: by where its largest number but the first lies between two multiples of SCALE, in the upper half for a 1.
"""

from __future__ import annotations

from triptych.errors import invalid

MESSAGE_BYTES = 16
SCALE = 36
BLOCK = 4
# Fewer hold no message, as that package has it too.
LEAST_PIXELS = 256 * 256
# Of Y, and of U, by red, green and blue.
LUMA = (0.299, 0.587, 0.114)
U_FACTOR = 0.492


def message_of(text: str, field: str = "watermark") -> bytes:
    """The text as it is marked, zeros behind it; InvalidArgumentError about one that is no watermark."""
    message = text.encode(errors="surrogateescape")
    if not 1 <= len(message) <= MESSAGE_BYTES or not text.isprintable():
        raise invalid(field, f"must be a printable text of 1 to {MESSAGE_BYTES} bytes in UTF-8, not {text[:100]!r}")
    return message.ljust(MESSAGE_BYTES, b"\0")


def text_of(message: bytes) -> str:
    """The inverse; "" for what is no text, as bits are that nobody has marked."""
    try:
        text = message.rstrip(b"\0").decode()
    except UnicodeDecodeError:
        return ""
    return text if text.isprintable() else ""

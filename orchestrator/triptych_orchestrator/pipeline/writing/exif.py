"""EXIF data of one value, the comment that A1111's readers look for in a JPEG or a WebP."""

from __future__ import annotations

import struct

_EXIF_IFD, _USER_COMMENT = 0x8769, 0x9286
_LONG, _UNDEFINED = 4, 7


def exif_of(parameters: str) -> bytes:
    """UserComment in UTF-16, as A1111 writes it; Pillow would give it a type that some readers do not take.

    Exif 2.32, 4.5 and 4.6: a TIFF header, a directory that leads to Exif's own, and that one's single entry.
    """
    comment = b"UNICODE\0" + parameters.encode("utf-16-be", "surrogatepass")
    header = struct.pack(">2sHL", b"MM", 42, 8)
    main = struct.pack(">HHHLLL", 1, _EXIF_IFD, _LONG, 1, 26, 0)
    own = struct.pack(">HHHLLL", 1, _USER_COMMENT, _UNDEFINED, len(comment), 44, 0)
    return b"Exif\0\0" + header + main + own + comment

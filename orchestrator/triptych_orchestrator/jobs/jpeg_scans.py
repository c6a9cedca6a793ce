"""How often a JPEG file has its decoder go over the picture: a progressive one may ask for that any number of times.

Markers are told as libjpeg tells them (ITU-T T.81, B.1.1), up to the first picture's end: what a camera lays behind it,
a film or a second picture, is not decoded.
"""

from __future__ import annotations

import re

# A usual progressive file has about ten; libtiff draws the line here too, for JPEGs inside of a TIFF.
_MOST_SCANS = 100
# A colour profile or a long description is cut into pieces of 64 kB.
_MOST_SEGMENTS = 2000
_BEGIN, _END, _SCAN = b"\xff\xd8", 0xD9, 0xDA
# Those without a length are passed over: what follows one of them may be read as markers.
_MARKER = re.compile(rb"\xff([\xc0-\xcf\xd9-\xef\xfe])")


def excess(data: bytes) -> str:
    """What a JPEG file has too many of, "has more than ..."; empty where it is within bounds, or none."""
    if not data.startswith(_BEGIN):
        return ""
    scans, at = 0, len(_BEGIN)
    for _ in range(_MOST_SEGMENTS):
        found = _MARKER.search(data, at)
        if found is None or (kind := found[1][0]) == _END:
            return ""
        scans += kind == _SCAN
        if scans > _MOST_SCANS:
            return f"has more than {_MOST_SCANS} scans"
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2])
    return f"has more than {_MOST_SEGMENTS} segments"

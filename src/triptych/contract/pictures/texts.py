"""Where a picture's file says how it was made: A1111's text, and the request itself as JSON.

A PNG has both in text chunks; a JPEG and a WebP have the one in EXIF's UserComment, the other in an XMP packet.
"""

from __future__ import annotations

import re
from xml.sax.saxutils import escape, unescape

PARAMETERS, REQUEST = "parameters", "triptych"
"""Keywords of a PNG's text chunks: A1111's, and that of the request."""

_TAG = "triptych:request"
# XMP specification, part 1, 7.3.2: what stands around a packet, by which it is found.
_PACKET = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:triptych="urn:triptych:1"><{tag}>{text}</{tag}></rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="r"?>'
)


def xmp_of(request: str) -> bytes:
    """A packet that holds the request's JSON, which must be ASCII: not all that Unicode has can stand in XML."""
    return _PACKET.format(tag=_TAG, text=escape(request)).encode()


def request_in_xmp(packet: bytes) -> str:
    """The inverse; "" where there is none. Strangers' XML is not parsed."""
    found = re.search(f"<{_TAG}>([^<]*)</{_TAG}>".encode(), packet)
    return unescape(found[1].decode("ascii", "replace")) if found else ""

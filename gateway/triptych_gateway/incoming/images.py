"""An image that stands in a request as text: base64, a data URI, or, where the operator allows it, an address.

file = await image_file(given, "image", gateway.settings)
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import re

from triptych.errors import invalid
from triptych_gateway.incoming.addresses import fetch, is_address
from triptych_gateway.settings import Settings

_DATA_URI = re.compile(r"data:[^,]{0,200};base64,", re.IGNORECASE)
_BLANKS = re.compile(r"\s+")


async def image_file(given: str, field: str, settings: Settings) -> bytes:
    """The bytes of the image's file, which nobody has looked into yet; errors are about the field."""
    if is_address(given):
        return await asyncio.to_thread(fetch, given, field, settings.kept.image_urls)
    return await asyncio.to_thread(decoded, given, field)


def decoded(given: str, field: str) -> bytes:
    """Base64, of either alphabet, or a data URI of it."""
    text = _BLANKS.sub("", given.removeprefix(match[0]) if (match := _DATA_URI.match(given)) else given)
    text = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        file = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid(field, f"is neither base64 nor a data URI of it: {error}") from error
    if not file:
        raise invalid(field, "is empty; give an image's file as base64")
    return file

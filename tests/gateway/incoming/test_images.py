from __future__ import annotations

import base64
from pathlib import Path

import pytest

from triptych.errors import InvalidArgumentError
from triptych_gateway.incoming.images import decoded, image_file
from triptych_gateway.settings import Settings

FILE = bytes(range(256))
PLAIN = base64.b64encode(FILE).decode()


@pytest.mark.parametrize(
    "given",
    [
        PLAIN,
        PLAIN.rstrip("="),
        base64.urlsafe_b64encode(FILE).decode(),
        base64.encodebytes(FILE).decode(),
        f"data:image/png;base64,{PLAIN}",
        f"DATA:image/png;name=a.png;BASE64,{PLAIN}",
    ],
)
async def test_the_same_file_however_it_is_written(given: str) -> None:
    assert await image_file(given, "image", Settings("", Path())) == FILE


@pytest.mark.parametrize("given", ["", "data:image/png;base64,", "a", "?!", "ä", "\ud800", "data:text/plain,hello"])
def test_anything_else_is_the_fields_fault(given: str) -> None:
    with pytest.raises(InvalidArgumentError, match=r"^init_images: ") as raised:
        decoded(given, "init_images")
    assert raised.value.metadata["field"] == "init_images"

"""What is served to whoever asks: it holds nothing of anybody's, or knows its callers by other means."""

from __future__ import annotations

import re

_OPEN = re.compile(
    "|".join(
        (
            r"/(favicon\.ico)?",  # the page, and what it is made of
            r"/page/.*",
            r"/log(in|out)",
            r"/health",
            r"/v1/images/files/[^/]*",  # the address is signed
        )
    )
)


def is_open(path: str) -> bool:
    """Whether a path wants no credentials."""
    return _OPEN.fullmatch(path) is not None

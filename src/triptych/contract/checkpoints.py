"""What to say where a checkpoint's path is none here: clients, command line and servers say the same."""

from __future__ import annotations

import re

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")


def not_a_path(given: str) -> str:
    """What is given for a checkpoint's path seems to be instead, and what to do; "" where nobody can tell."""
    if given.lower().startswith(("http:", "https:")):
        return "nothing is downloaded; download the whole repository and give its directory"
    if _HUB_ID.fullmatch(given):
        return (
            f"if it is a hub's name: nothing is downloaded; run `hf download {given}` and give the directory it prints"
        )
    return ""

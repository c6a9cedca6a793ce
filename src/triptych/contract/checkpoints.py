"""What to say where a checkpoint's path is none here: clients, command line and servers say the same."""

from __future__ import annotations

from triptych.contract.hub import HubId, download_command


def not_a_path(given: str) -> str:
    """What is given for a checkpoint's path seems to be instead, and what to do; "" where nobody can tell."""
    if given.lower().startswith(("http:", "https:")):
        return "nothing is downloaded; download the whole repository and give its directory"
    if hub_id := HubId.parse(given):
        return f"if it is a hub's name: run `{download_command(hub_id)}`"
    return ""

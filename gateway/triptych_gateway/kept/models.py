"""Models that came by uploads: files named by their content, for the orchestrator and the stages to read."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from triptych.sdk import Checkpoint
from triptych_gateway.caller import Caller
from triptych_gateway.kept.records import kept_errors
from triptych_gateway.kept.uploads import Uploads


class Models:
    """All of one folder."""

    def __init__(self, folder: Path, uploads: Uploads) -> None:
        self._folder = folder
        self._uploads = uploads

    async def place(self, caller: Caller, upload_id: str, *kinds: str) -> Path:
        """Has an upload's file lie here as well, under its digest; the upload stays until it is removed."""
        path = await self._uploads.path(caller, upload_id, *kinds)
        upload = await self._uploads.find(caller, upload_id)
        placed = self._folder / f"{upload.sha256}{upload.suffix}"
        await asyncio.to_thread(_link, path, placed)
        return placed

    async def forget(self, path: str, checkpoints: Iterable[Checkpoint]) -> None:
        """Deletes a file that lies here, unless one of the checkpoints is of it."""
        file = Path(path)
        used = {path for each in checkpoints for path in (each.path, each.vae, each.image_encoder)}
        if file.parent == self._folder and path not in used:
            await asyncio.to_thread(file.unlink, missing_ok=True)


def _link(path: Path, placed: Path) -> None:
    with kept_errors(placed.parent):
        placed.parent.mkdir(parents=True, exist_ok=True)
        if not placed.exists():
            placed.hardlink_to(path)

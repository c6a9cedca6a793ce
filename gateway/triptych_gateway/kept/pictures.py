"""Pictures that were made, each kept as the server wrote it, with a record beside it, for as long as they may stay.

kept = await pictures.keep(caller, drawn)
newest = await pictures.newest(caller, search="circle", limit=20)

Several gateways may share the folder: what lies in it is the truth, and records once read are remembered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from triptych.errors import NotFoundError
from triptych_gateway.caller import Caller
from triptych_gateway.kept.records import is_id, new_id, owner_of, read_record, write_file, write_record
from triptych_gateway.settings import Settings


@dataclass(frozen=True)
class Picture:
    """What is known of a kept picture without its file."""

    id: str
    made_s: float  # since 1970
    prompt: str
    checkpoint: str
    seed: int
    width: int
    height: int
    format: str  # "png", "jpeg" or "webp"
    size_bytes: int
    is_nsfw: bool | None = None  # found not safe for work, and black therefore; None: nobody looked

    @property
    def media_type(self) -> str:
        """For HTTP."""
        return f"image/{self.format}"


@dataclass(frozen=True)
class Drawn:
    """A picture that is to be kept: the file, and what its record says besides."""

    file: bytes
    prompt: str
    checkpoint: str
    seed: int
    size: tuple[int, int]  # width, height
    format: str
    is_nsfw: bool | None = None


class Pictures:
    """All of one folder, `<owner>/<id>.<format>` each; callers see their own."""

    def __init__(self, folder: Path, lifetime_s: float, max_bytes: int) -> None:
        self._folder = folder
        self._lifetime_s = lifetime_s
        self._max_bytes = max_bytes
        self._read: dict[Path, Picture] = {}

    async def keep(self, caller: Caller, drawn: Sequence[Drawn]) -> list[Picture]:
        """Their order is that of the ids, the first being the newest."""
        return await asyncio.to_thread(self._keep, owner_of(caller), drawn)

    async def newest(
        self, caller: Caller, *, search: str = "", limit: int = 50, before: str | None = None
    ) -> list[Picture]:
        """The newest first; `search`: words that all stand in the prompt; `before`: those older than that one."""
        return await asyncio.to_thread(self._newest, owner_of(caller), search.casefold().split(), limit, before)

    async def find(self, caller: Caller, picture_id: str) -> Picture:
        """NotFoundError where this caller has none of that id."""
        return await self.find_of(owner_of(caller), picture_id)

    async def find_of(self, owner: str, picture_id: str) -> Picture:
        """Likewise by the owner's folder, which a signed address names."""
        found = await asyncio.to_thread(self._record, owner, picture_id) if is_id(picture_id) else None
        if found is None:
            raise NotFoundError(f"there is no picture {picture_id!r}; it may have been deleted, or its time was over")
        return found

    def path_of(self, owner: str, picture: Picture) -> Path:
        """Where its file is, which may be deleted at any time."""
        return self._folder / owner / f"{picture.id}.{picture.format}"

    def path(self, caller: Caller, picture: Picture) -> Path:
        """Likewise of a caller's."""
        return self.path_of(owner_of(caller), picture)

    async def file(self, caller: Caller, picture_id: str) -> bytes:
        """A picture's file; NotFoundError."""
        return await self.file_of(owner_of(caller), await self.find(caller, picture_id))

    async def file_of(self, owner: str, picture: Picture) -> bytes:
        """Likewise by the owner's folder."""
        try:
            return await asyncio.to_thread(self.path_of(owner, picture).read_bytes)
        except FileNotFoundError:
            raise NotFoundError(f"there is no picture {picture.id!r} any more") from None

    async def remove(self, caller: Caller, picture_id: str) -> None:
        """Deletes it; NotFoundError."""
        picture = await self.find(caller, picture_id)
        await asyncio.to_thread(self._remove, self._folder / owner_of(caller), picture.id)

    async def sweep(self) -> None:
        """Deletes, of all owners, what is too old, and then the oldest while there are too many bytes."""
        await asyncio.to_thread(self._sweep)

    def _keep(self, owner: str, drawn: Sequence[Drawn]) -> list[Picture]:
        kept = []
        for each, picture_id in zip(drawn, sorted((new_id() for _ in drawn), reverse=True), strict=True):
            width, height = each.size
            picture = Picture(
                picture_id, time.time(), each.prompt, each.checkpoint, each.seed, width, height, each.format,
                len(each.file), each.is_nsfw,
            )  # fmt: skip
            write_file(self.path_of(owner, picture), each.file)
            write_record(self._folder / owner / f"{picture_id}.json", asdict(picture))
            kept.append(picture)
        return kept

    def _newest(self, owner: str, words: Sequence[str], limit: int, before: str | None) -> list[Picture]:
        found: list[Picture] = []
        for picture_id in self._ids(owner):
            if len(found) == limit:
                break
            if before is None or picture_id < before:
                picture = self._record(owner, picture_id)
                if picture is not None and all(word in picture.prompt.casefold() for word in words):
                    found.append(picture)
        return found

    def _ids(self, owner: str) -> list[str]:
        try:
            names = [path.name for path in (self._folder / owner).iterdir()]
        except FileNotFoundError:
            return []
        return sorted((name[:32] for name in names if name.endswith(".json") and is_id(name[:-5])), reverse=True)

    def _record(self, owner: str, picture_id: str) -> Picture | None:
        path = self._folder / owner / f"{picture_id}.json"
        known = self._read.get(path)
        if known is not None and path.exists():
            return known
        self._read.pop(path, None)
        try:
            picture = Picture(**(read_record(path) or {}))
        except TypeError:  # gone, damaged, or a newer gateway's
            return None
        self._read[path] = picture
        return picture

    def _remove(self, folder: Path, picture_id: str) -> None:
        """The record goes first, by which a picture is there."""
        self._read.pop(folder / f"{picture_id}.json", None)
        for suffix in ("json", "png", "jpeg", "webp", "thumbnail"):
            (folder / f"{picture_id}.{suffix}").unlink(missing_ok=True)

    def _sweep(self) -> None:
        left_bytes = self._max_bytes
        for picture, folder in sorted(self._all(), key=lambda each: each[0].id, reverse=True):
            left_bytes -= picture.size_bytes
            if left_bytes < 0 or picture.made_s < time.time() - self._lifetime_s:
                self._remove(folder, picture.id)

    def _all(self) -> Iterator[tuple[Picture, Path]]:
        folders = [folder for folder in self._folder.iterdir() if folder.is_dir()] if self._folder.exists() else []
        for folder in folders:
            for picture_id in self._ids(folder.name):
                picture = self._record(folder.name, picture_id)
                if picture is not None:
                    yield picture, folder


def kept_pictures(settings: Settings) -> Pictures:
    """Those of a gateway."""
    return Pictures(settings.state_dir / "pictures", settings.kept.picture_lifetime_s, settings.kept.max_picture_bytes)

"""Whether a caller is who it says: one scrypt for a secret never seen, microseconds ever after.

keys = Keys([Path("credentials")])
name = await keys.name_of("Bearer ann.Zx1...")    # UnauthenticatedError
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections.abc import Sequence
from pathlib import Path

from triptych.errors import FailedPreconditionError, ResourceExhaustedError, UnauthenticatedError
from triptych.keys.entry import Entry
from triptych.keys.file import KeyFile
from triptych.keys.headers import name_and_secret

logger = logging.getLogger("triptych.keys")

# A change of the file counts after that long at most.
LOOK_AGAIN_S = 1.0
# Who guesses waits in this line; those that are known do not.
MOST_WAITING = 64
MOST_REFUSED_KEPT = 1024
_REFUSED = "name or secret is wrong"


class Keys:
    """Those of one or more files, as they are now; later files win. A file that cannot be read lets nobody in."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._files = [KeyFile(path) for path in paths]
        self._entries = self._read()
        self._state = self._look()
        self._looked_s = time.monotonic()
        # Secrets are known by a keyed digest: they lie nowhere, and how long finding one takes says nothing.
        self._digest_key = secrets.token_bytes(32)
        self._accepted: dict[bytes, str] = {}
        self._refused: dict[bytes, None] = {}
        self._turn = asyncio.Lock()
        self._waiting = 0
        # Hashed for a name that there is not, which then takes as long.
        self._nobody = Entry.of("nobody", secrets.token_hex())

    def entry(self, name: str) -> Entry | None:
        """Who has that name now."""
        self._refresh()
        return self._entries.get(name)

    async def name_of(self, authorization: str) -> str:
        """Of whoever sent this header; UnauthenticatedError where it is nobody's."""
        return await self.check(*name_and_secret(authorization))

    async def check(self, name: str, secret: str) -> str:
        """The name; UnauthenticatedError where the secret is not its."""
        self._refresh()
        digest = hashlib.blake2b(f"{name}\0{secret}".encode(), key=self._digest_key, digest_size=32).digest()
        if digest not in self._accepted:
            await self._judge(name, secret, digest)
        return name

    async def _judge(self, name: str, secret: str, digest: bytes) -> None:
        if digest in self._refused:
            raise UnauthenticatedError(_REFUSED)
        if self._waiting >= MOST_WAITING:
            raise ResourceExhaustedError(
                "too many unknown credentials are being checked; try again", retry_after_seconds="5"
            )
        self._waiting += 1
        try:
            async with self._turn:
                if digest in self._accepted:  # by one that came with it
                    return
                entry = self._entries.get(name)
                matches = await asyncio.to_thread((entry or self._nobody).matches, secret)
        finally:
            self._waiting -= 1
        # The file may have changed meanwhile: what was found out is of the entry that was asked.
        if entry is not None and matches and self._entries.get(name) == entry:
            self._accepted[digest] = name
            return
        if len(self._refused) >= MOST_REFUSED_KEPT:
            del self._refused[next(iter(self._refused))]
        self._refused[digest] = None
        logger.warning("credentials refused", extra={"name_given": name if entry else "unknown"})
        raise UnauthenticatedError(_REFUSED)

    def _refresh(self) -> None:
        now_s = time.monotonic()
        if now_s - self._looked_s < LOOK_AGAIN_S:
            return
        self._looked_s = now_s
        if (state := self._look()) == self._state:
            return
        self._state = state
        self._accepted.clear()
        self._refused.clear()
        try:
            self._entries = self._read()
            logger.info("credentials read again", extra={"names": len(self._entries)})
        except FailedPreconditionError as error:
            self._entries = {}
            logger.error("nobody is let in: %s", error.message)

    def _read(self) -> dict[str, Entry]:
        return {name: entry for file in self._files for name, entry in file.entries().items()}

    def _look(self) -> list[tuple[int, ...]]:
        return [_stamp(file.path) for file in self._files]


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_ino, found.st_size, found.st_mtime_ns

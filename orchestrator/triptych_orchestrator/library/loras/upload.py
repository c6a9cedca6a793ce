"""Takes in one LoRA file: written to a temporary name, measured and hashed on the way.

part = await write_part(folder / "1.part", chunks, admit)
part.path.replace(folder / f"{part.digest}.safetensors")
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from io import BufferedWriter
from pathlib import Path

from triptych.checkpoint.pickles import convert
from triptych.wire.lora_files import lora_chunks
from triptych_orchestrator.library.unwritable import unwritable


@dataclass(frozen=True)
class Part:
    """A file under a temporary name, written down for good; its SHA-256 in hexadecimal."""

    path: Path
    digest: str
    size_bytes: int


async def read_chunks(path: Path) -> AsyncGenerator[bytes, None]:
    """A file's bytes in chunks, PEFT's configuration in them; InvalidArgumentError if it cannot be read."""
    chunks = lora_chunks(path)
    while chunk := await asyncio.to_thread(next, chunks, b""):
        yield chunk


async def write_part(path: Path, chunks: AsyncIterator[bytes], admit: Callable[[int], None]) -> Part:
    """The file that `chunks` make, at `path`; whatever comes of it, the caller moves or removes it.

    `admit` is asked before each chunk is written, with the bytes that the file then has, and refuses by raising.
    An error that names the folder if that cannot hold the file, see `unwritable`.
    """
    digest, size_bytes = hashlib.sha256(), 0
    try:
        with path.open("xb") as stream:
            async for chunk in chunks:
                size_bytes += len(chunk)
                admit(size_bytes)
                digest.update(chunk)
                await asyncio.to_thread(stream.write, chunk)
            await asyncio.to_thread(_sync, stream)
    except OSError as error:
        raise unwritable("the LoRA's file", path.parent, error) from error
    return Part(path, digest.hexdigest(), size_bytes)


def as_plain(part: Part, admit: Callable[[int], None]) -> Part:
    """The part itself; one that is a torch file becomes safetensors in its place, so that nobody else reads pickles.

    CheckpointInvalidError says what is wrong with it; `admit` is asked for the bytes that it then has.
    """
    made = part.path.with_suffix(".plain.part")
    try:
        if not convert(part.path, made):
            return part
        admit(made.stat().st_size)
        made.replace(part.path)
        with part.path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise unwritable("the LoRA's file", part.path.parent, error) from error
    finally:
        with suppress(OSError):  # it is swept up at the next start
            made.unlink(missing_ok=True)
    return Part(part.path, digest, part.path.stat().st_size)


def _sync(stream: BufferedWriter) -> None:
    stream.flush()
    os.fsync(stream.fileno())

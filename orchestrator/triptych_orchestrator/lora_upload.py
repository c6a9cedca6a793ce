"""Takes in one LoRA file: written to a temporary name, measured and hashed on the way.

async with received(folder, chunks, max_bytes=2**31) as part:
    part.path.replace(folder / f"{part.digest}.safetensors")
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BufferedWriter
from pathlib import Path

from triptych.errors import FailedPreconditionError, ResourceExhaustedError
from triptych.wire.lora_files import lora_chunks

PART_SUFFIX = ".part"


@dataclass(frozen=True)
class Part:
    """A file under a temporary name, written down for good; its SHA-256 in hexadecimal."""

    path: Path
    digest: str
    size_bytes: int


@asynccontextmanager
async def received(folder: Path, chunks: AsyncIterator[bytes], max_bytes: int) -> AsyncIterator[Part]:
    """The file that `chunks` make; gone afterwards unless it was moved elsewhere.

    Raises:
        ResourceExhaustedError: it is larger than `max_bytes`.
        FailedPreconditionError: the folder cannot hold it.
    """
    path = folder / f"{uuid.uuid4().hex}{PART_SUFFIX}"
    try:
        yield await _write(path, chunks, max_bytes)
    finally:
        path.unlink(missing_ok=True)


async def read_chunks(path: Path) -> AsyncGenerator[bytes, None]:
    """A file's bytes in chunks, PEFT's configuration in them; InvalidArgumentError if it cannot be read."""
    chunks = lora_chunks(path)
    while chunk := await asyncio.to_thread(next, chunks, b""):
        yield chunk


async def _write(path: Path, chunks: AsyncIterator[bytes], max_bytes: int) -> Part:
    digest, size_bytes = hashlib.sha256(), 0
    try:
        with path.open("xb") as stream:
            async for chunk in chunks:
                size_bytes += len(chunk)
                if size_bytes > max_bytes:
                    raise ResourceExhaustedError(f"the file is larger than max_lora_bytes, {max_bytes}")
                digest.update(chunk)
                await asyncio.to_thread(stream.write, chunk)
            await asyncio.to_thread(_sync, stream)
    except OSError as error:
        raise FailedPreconditionError(f"{path.parent} cannot take the file: {error.strerror or error}") from error
    return Part(path, digest.hexdigest(), size_bytes)


def _sync(stream: BufferedWriter) -> None:
    stream.flush()
    os.fsync(stream.fileno())

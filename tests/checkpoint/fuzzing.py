"""Files of strangers, damaged at random: bits flipped, ends cut off, numbers that lie, parts put elsewhere."""

from __future__ import annotations

import random
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Change = Callable[[bytearray, random.Random], None]
# Of whole numbers, what is likeliest not to have been thought of.
EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 40, (1 << 63) - 1, 1 << 63)
# Of a reader besides what the process has: a file's text may take many times its bytes.
MOST_MORE_BYTES = 700_000_000


def flip(content: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 1, 2, 8))):
        content[place(content, chance)] ^= 1 << chance.randrange(8)


def cut(content: bytearray, chance: random.Random) -> None:
    del content[chance.randrange(len(content)) :]


def lie(content: bytearray, chance: random.Random) -> None:
    width, at = chance.choice((1, 2, 4, 8)), place(content, chance)
    value = chance.choice(EXTREMES) + chance.choice((-1, 0, 0, 1))
    content[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, "little")


def lie_in_text(content: bytearray, chance: random.Random) -> None:
    """A number in digits, and whatever else stands there."""
    at = place(content, chance)
    content[at : at + chance.randrange(6)] = str(chance.choice(EXTREMES) * chance.choice((-1, 1, 1))).encode()


def repeat(content: bytearray, chance: random.Random) -> None:
    at = place(content, chance)
    content[at:at] = content[at : at + chance.randint(1, 60)] * chance.choice((1, 1, 100))


def move(content: bytearray, chance: random.Random) -> None:
    at, length = place(content, chance), chance.randint(1, 60)
    part = content[at : at + length]
    del content[at : at + length]
    to = chance.randrange(len(content) + 1)
    content[to:to] = part


def drop(content: bytearray, chance: random.Random) -> None:
    at = place(content, chance)
    del content[at : at + chance.randint(1, 30)]


def place(content: bytearray, chance: random.Random) -> int:
    """Mostly near one of the ends, where headers and lists are."""
    near = min(len(content), chance.choice((64, 2000, len(content))))
    at = chance.randrange(near)
    return at if chance.random() < 0.6 else len(content) - 1 - at


CHANGES: tuple[Change, ...] = (flip, flip, cut, lie, lie, lie_in_text, repeat, move, drop)


def damaged(content: bytes, chance: random.Random) -> bytes:
    """The file after one change, or a few."""
    made = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        if made:
            chance.choice(CHANGES)(made, chance)
    return bytes(made)


@contextmanager
def bounded_memory(more_bytes: int = MOST_MORE_BYTES) -> Iterator[None]:
    """Beyond that much more than now, the process gets no memory."""
    before = resource.getrlimit(resource.RLIMIT_DATA)
    used = next(line.split()[1] for line in Path("/proc/self/status").read_text().splitlines() if "VmData" in line)
    resource.setrlimit(resource.RLIMIT_DATA, (int(used) * 1024 + more_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)

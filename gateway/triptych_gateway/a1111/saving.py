"""`save_images`: pictures in the operator's folder, by the day and numbered, as the web UI lays them there.

outputs/txt2img-images/2026-01-31/00001-1234.png

Of what a client says a path may have numbers, and the letters and digits of a prompt, if the operator's pattern wants
them.
"""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from triptych.errors import FailedPreconditionError

_MOST_LETTERS = 64
_TOKEN = re.compile(r"\[(\w+)\]")
_NUMBER = re.compile(r"(?:grid-)?(\d{4,9})\b", re.ASCII)


class Folder:
    """One kind's of today; FailedPreconditionError at once where it cannot be made."""

    def __init__(self, root: Path, kind: str) -> None:
        self._path = root / kind / time.strftime("%Y-%m-%d")
        with _told(self._path):
            self._path.mkdir(parents=True, exist_ok=True)

    def save(self, file: bytes, ending: str, name: str = "", head: str = "", digits: int = 5) -> Path:
        """Under the next number; nothing is written over, whoever saves here at the same time."""
        with _told(self._path):
            for number in itertools.count(self._last() + 1):
                stem = "-".join(filter(None, (f"{head}{number:0{digits}}", name)))
                path = self._path / f"{stem}.{ending}"
                try:
                    with path.open("xb") as stream:
                        stream.write(file)
                    return path
                except FileExistsError:
                    continue
        raise AssertionError("numbers have no end")

    def _last(self) -> int:
        taken = (_NUMBER.match(each.name) for each in self._path.iterdir())
        return max((int(found[1]) for found in taken if found), default=0)


def named(pattern: str, values: Mapping[str, object]) -> str:
    """A name by the operator's pattern, "[seed]-[prompt]" say."""
    return _TOKEN.sub(lambda token: _plain(values.get(token[1], "")), pattern)


def _plain(value: object) -> str:
    return re.sub(r"[^A-Za-z0-9.]+", "-", str(value))[:_MOST_LETTERS].strip(".-")


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Within it what the folder is unfit for is the operator's to mend."""
    try:
        yield
    except OSError as error:
        problem = f"save_images: this server cannot save to {path}: {error.strerror}; leave it out"
        raise FailedPreconditionError(problem) from error

"""Where pictures go: to files whose names never overwrite unless told to, or to standard output.

outputs = open_outputs("{prompt}-{seed}.png", ["a red circle"])
outputs.write(file, index=0, seed=7, prompt="a red circle")    # a-red-circle-7.png
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Protocol

from triptych.cli.pictures.formats import ENDINGS, KNOWN, format_of
from triptych.errors import TriptychError, invalid

DEFAULT_NAME = "{prompt}-{seed}"
STANDARD_OUTPUT = "-"
_SLUG_LIMIT = 48  # characters, of up to 4 bytes each; file names end at 255 bytes


class Outputs(Protocol):
    """Takes the pictures of one run; `image_format` is what they have to be, "" for whatever they are."""

    image_format: str

    def write(self, file: bytes, *, index: int, seed: int, prompt: str) -> Path | None:
        """Writes one picture; where to, if to a file."""


def open_outputs(
    pattern: str, prompts: Sequence[str], pictures_per_prompt: int = 1, *, force: bool = False, image_format: str = ""
) -> Outputs:
    """Where the pictures of `prompts` go; what is wrong with that shows now, and not when they are made.

    Args:
        pattern: a file name, in which {index}, {seed} and {prompt} stand for the picture's; a directory; or "-".
        prompts: of the run.
        pictures_per_prompt: how many of each.
        force: overwrite files that were there before the run.
        image_format: what the pictures are to be; "" for what the pattern ends in.

    Raises:
        InvalidArgumentError: the pattern has another placeholder or a broken one, or names an unknown format, or
            another than `image_format`; or several pictures, or a terminal, are to take what is written to standard
            output.
        TriptychError: a file cannot be written there.
    """
    if pattern == STANDARD_OUTPUT:
        return _StandardOutput(len(prompts) * pictures_per_prompt, image_format)
    try:
        files = _Files(pattern, force=force, image_format=image_format)
        for index, prompt in enumerate(prompts):
            files.check(index=index * pictures_per_prompt, prompt=prompt)
    except OSError as error:
        raise TriptychError(f"output: {pattern} cannot be written: {error.strerror}", field="output") from error
    return files


class _StandardOutput:
    def __init__(self, pictures: int, image_format: str) -> None:
        self.image_format = image_format
        if pictures > 1:
            raise invalid("output", f"standard output takes one picture, and these are {pictures}: name files")
        if sys.stdout.isatty():
            raise invalid("output", "standard output is a terminal: redirect it, or name a file")

    def write(self, file: bytes, *, index: int, seed: int, prompt: str) -> None:
        sys.stdout.buffer.write(file)
        sys.stdout.buffer.flush()


class _Files:
    def __init__(self, pattern: str, *, force: bool, image_format: str) -> None:
        if pattern.endswith("/") or Path(pattern).is_dir():
            pattern = named(str(Path(pattern) / DEFAULT_NAME), image_format)
        self._pattern = pattern
        self._force = force
        self._written: set[Path] = set()
        self._writable: set[Path] = set()
        ending = self._name(index=0, seed=0, prompt="").suffix
        shown = format_of(ending)
        if ending and shown is None:
            raise invalid("output", f"{pattern!r} ends in {ending!r}; pictures are written as {', '.join(KNOWN)}")
        if shown and image_format and shown != image_format:
            raise invalid("output", f"{pattern!r} ends in {ending!r}, and image_format is {image_format}; change one")
        self.image_format = image_format or shown or ""

    def check(self, *, index: int, prompt: str) -> None:
        """OSError where the file could not be made, as far as can be known without making it."""
        path = self._name(index=index, seed=0, prompt=prompt)
        with suppress(FileNotFoundError):
            os.lstat(path)  # tells of a name that is too long, say
        if _is_device(path):  # opening a pipe waits for its reader, and closing it tells him that all has come
            return
        if self._force and path.exists():
            path.open("ab").close()
            return
        folder = next(parent for parent in path.parents if parent.exists())
        if folder not in self._writable:
            with tempfile.TemporaryFile(dir=folder):  # tells more than permissions do: of a read-only disk, say
                self._writable.add(folder)

    def write(self, file: bytes, *, index: int, seed: int, prompt: str) -> Path:
        """Writes one picture under the first free name (out.png, out-1.png, ...); makes its directory."""
        wanted = self._name(index=index, seed=seed, prompt=prompt)
        wanted.parent.mkdir(parents=True, exist_ok=True)
        for number in count():
            path = wanted if number == 0 else wanted.with_stem(f"{wanted.stem}-{number}")
            overwrite = _is_device(path) or (self._force and path not in self._written)
            try:
                with path.open("wb" if overwrite else "xb") as stream:
                    stream.write(file)
            except FileExistsError:
                continue
            self._written.add(path)
            return path
        raise AssertionError("count() does not end")

    def _name(self, *, index: int, seed: int, prompt: str) -> Path:
        try:
            return Path(self._pattern.format(index=index, seed=seed, prompt=slug(prompt)))
        except (AttributeError, IndexError, KeyError, ValueError) as error:
            known = "{index}, {seed} and {prompt}"
            raise invalid("output", f"{self._pattern!r} has a placeholder other than {known}") from error


def named(stem: str, image_format: str) -> str:
    """A pattern without an ending, with that of the format."""
    return stem + ENDINGS[image_format or "png"][0]


def _is_device(path: Path) -> bool:
    """Whether it is there and keeps no file: /dev/null or a pipe, which is written to and not numbered."""
    return path.exists() and not (path.is_file() or path.is_dir())


def slug(prompt: str) -> str:
    """The prompt as part of a file name: lower case, words joined by dashes, cut at 48 characters."""
    return re.sub(r"[\W_]+", "-", prompt.lower())[:_SLUG_LIMIT].strip("-") or "picture"

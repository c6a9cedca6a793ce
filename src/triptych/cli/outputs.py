"""Where pictures go: a pattern to file names that never overwrite unless told to.

outputs = Outputs("{prompt}-{seed}.png")
outputs.write(png, index=0, seed=7, prompt="a red circle")    # a-red-circle-7.png
"""

from __future__ import annotations

import re
from itertools import count
from pathlib import Path

from triptych.errors import invalid

DEFAULT_NAME = "{prompt}-{seed}.png"
_SLUG_LIMIT = 48  # characters, of up to 4 bytes each; file names end at 255 bytes


class Outputs:
    """Names and writes the pictures of one run.

    Args:
        pattern: a file name, in which {index}, {seed} and {prompt} stand for the picture's; or a directory.
        force: overwrite files that were there before the run.

    Raises:
        InvalidArgumentError: the pattern has another placeholder, or a broken one.
    """

    def __init__(self, pattern: str, *, force: bool = False) -> None:
        if pattern.endswith("/") or Path(pattern).is_dir():
            pattern = str(Path(pattern) / DEFAULT_NAME)
        self._pattern = pattern
        self._force = force
        self._written: set[Path] = set()
        self._name(index=0, seed=0, prompt="")

    def write(self, png: bytes, *, index: int, seed: int, prompt: str) -> Path:
        """Writes one picture under the first free name (out.png, out-1.png, ...); makes its directory."""
        wanted = self._name(index=index, seed=seed, prompt=prompt)
        wanted.parent.mkdir(parents=True, exist_ok=True)
        for number in count():
            path = wanted if number == 0 else wanted.with_stem(f"{wanted.stem}-{number}")
            overwrite = self._force and path not in self._written
            try:
                with path.open("wb" if overwrite else "xb") as file:
                    file.write(png)
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


def slug(prompt: str) -> str:
    """The prompt as part of a file name: lower case, words joined by dashes, cut at 48 characters."""
    return re.sub(r"[\W_]+", "-", prompt.lower())[:_SLUG_LIMIT].strip("-") or "picture"

"""Where a user's files lie, and what is said of a place that is not there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from triptych.cache_folders import home
from triptych.errors import FailedPreconditionError, invalid


def state_folder() -> Path:
    """Of what outlives `triptych up`, by the XDG Base Directory Specification; it need not exist."""
    base = Path(os.environ.get("XDG_STATE_HOME") or "")
    # The specification wants relative paths to be ignored.
    return (base if base.is_absolute() else home() / ".local/state") / "triptych"


def absolute(field: str, path: str | Path) -> Path:
    """The path for servers that do not share this process's directory; `~` is the user's home."""
    try:
        return Path(path).expanduser().absolute()
    except (RuntimeError, OSError) as error:  # no such user; the current directory is gone
        raise invalid(field, f"{path}: {error}") from error


@contextmanager
def usable(field: str, path: Path | str, remedy: str) -> Iterator[None]:
    """Says whose option the folder is, and what to do, where its body cannot make or write it."""
    try:
        yield
    except OSError as error:
        problem = f"{field}: {path} cannot be used: {error.strerror or error}; {remedy}"
        raise FailedPreconditionError(problem, field=field) from error

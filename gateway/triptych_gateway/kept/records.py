"""Small JSON files that are whole or absent, and the folders of their owners.

write_record(folder / "a.json", {"prompt": "a red circle"})
"""

from __future__ import annotations

import json
import os
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

from triptych.errors import FailedPreconditionError, ResourceExhaustedError
from triptych_gateway.caller import Caller

_FULL = (28, 122)  # ENOSPC, EDQUOT


def new_id() -> str:
    """Sorts by when it was made, and cannot be guessed."""
    return f"{time.time_ns():016x}{secrets.token_hex(8)}"


def is_id(given: str) -> bool:
    """Whether `new_id` may have made it: nothing else becomes part of a path."""
    return len(given) == 32 and all(sign in "0123456789abcdef" for sign in given)


def owner_of(caller: Caller) -> str:
    """The name of a caller's folders, which tells nothing of it."""
    return sha256(caller.scope.encode()).hexdigest()[:32]


def write_file(path: Path, content: bytes) -> None:
    """By a rename; errors name the folder and what is wrong with it."""
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with kept_errors(path.parent):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_bytes(content)
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Likewise, as JSON."""
    write_file(path, json.dumps(record).encode())


def read_record(path: Path) -> dict[str, Any] | None:
    """None where it is gone, or damaged."""
    try:
        record = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) else None


@contextmanager
def kept_errors(folder: Path) -> Iterator[None]:
    """What a folder refuses, told by what has to be done about it."""
    try:
        yield
    except OSError as error:
        problem = f"the gateway cannot write to {folder}: {os.strerror(error.errno or 0)}"
        kind = ResourceExhaustedError if error.errno in _FULL else FailedPreconditionError
        raise kind(problem) from error

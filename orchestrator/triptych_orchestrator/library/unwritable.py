"""What to say where the disk takes no more of what the server keeps: which folder it is, and what to do."""

from __future__ import annotations

import errno
import logging
from pathlib import Path

from triptych.errors import FailedPreconditionError, ResourceExhaustedError, TriptychError

logger = logging.getLogger("triptych.state")

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def unwritable(what: str, folder: Path, error: OSError) -> TriptychError:
    """The error for whoever asked: RESOURCE_EXHAUSTED where there is no room, or else FAILED_PRECONDITION."""
    logger.error("cannot be written", extra={"what": what, "folder": str(folder), "error": str(error)})
    problem = f"{what} cannot be kept in {folder}: {error.strerror or error}"
    if error.errno in _FULL:
        return ResourceExhaustedError(f"{problem}; make room there", folder=str(folder))
    return FailedPreconditionError(f"{problem}; have the server able to write there", folder=str(folder))

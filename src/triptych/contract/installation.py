"""What the server's parts need installed, and what to say where it is missing; a client needs none of it.

with server_packages("the orchestrator"):
    import prometheus_client
"""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from triptych.errors import FailedPreconditionError

# Triton's Python backend and the versions that the extras pin are made for one Python.
SERVER_PYTHON = (3, 11)


def check_python(part: str) -> None:
    """FailedPreconditionError, which names the part of the server, on any Python but the server's."""
    if sys.version_info[:2] != SERVER_PYTHON:
        wanted = ".".join(map(str, SERVER_PYTHON))
        raise FailedPreconditionError(
            f"{part} needs Python {wanted}, and this is Python {platform.python_version()}, on which only clients run: "
            f"install 'triptych[server]' in an environment of Python {wanted}"
        )


@contextmanager
def server_packages(part: str, extras: str = "server") -> Iterator[None]:
    """Has what its body imports, or FailedPreconditionError says what to install for that part of the server."""
    check_python(part)
    try:
        yield
    except ModuleNotFoundError as error:
        raise FailedPreconditionError(
            f"{part} needs the module {error.name!r}; install it: pip install 'triptych[{extras}]'"
        ) from error

"""The `triptych` command, and `python -m triptych`: quiet on Ctrl-C from its first moment."""

from __future__ import annotations

import os
import signal
import sys

_INTERRUPTED = 130


def main() -> int:
    """Runs one command; returns its exit code."""
    # Python's own handler raises KeyboardInterrupt, which the imports below would show with a traceback, or swallow.
    is_pythons = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # not ignored, as in a background job
    if is_pythons:
        signal.signal(signal.SIGINT, _leave)
    from triptych.cli.main import main as run

    if is_pythons:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run()


def _leave(*_: object) -> None:
    os.write(2, b"triptych: interrupted\n")
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())

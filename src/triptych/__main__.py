"""The `triptych` command, and `python -m triptych`: quiet on Ctrl-C from its first moment."""

from __future__ import annotations

import codecs
import io
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
    _show_every_name()
    from triptych.cli.main import main as run

    if is_pythons:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return run()


def _show_every_name() -> None:
    """Has output hold names of files, checkpoints and LoRAs whose signs the locale lacks, or that are no text."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        if codecs.lookup(sys.stdout.encoding).name in ("ascii", "utf-8"):
            sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
        else:
            sys.stdout.reconfigure(errors="backslashreplace")


def _leave(*_: object) -> None:
    os.write(2, b"triptych: interrupted\n")
    os._exit(_INTERRUPTED)


if __name__ == "__main__":
    sys.exit(main())

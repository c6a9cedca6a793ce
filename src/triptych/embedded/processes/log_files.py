"""The log files of a stack's processes: what a start leaves of the one before, and what a file says of a failure."""

from __future__ import annotations

import json
import re
from pathlib import Path

from triptych.embedded.processes.process import log_tail

_USAGE_ERROR = re.compile(r"triptych-orchestrator: error: (.+)")


def set_aside(path: Path) -> None:
    """Makes room for the log of a new start; of those before, the last one stays as `<name>.log.1`."""
    if path.exists():
        path.replace(path.with_suffix(f"{path.suffix}.1"))


def why_it_ended(path: Path | None) -> str:
    """The error that a process reported last, and where its log is; the end of the log where that is no report."""
    if path is None:
        return "it said why"
    if reason := _last_error(path):
        return f"{reason}; its log is {path}"
    return f"the end of {path}:\n{log_tail(path)}"


def _last_error(path: Path) -> str:
    for line in reversed(log_tail(path).splitlines()):
        if line.startswith("Traceback "):  # it ended without a report, whatever it had reported before
            return ""
        if usage := _USAGE_ERROR.fullmatch(line):
            return usage[1]
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("level") == "ERROR":
            return str(entry.get("message", ""))
    return ""

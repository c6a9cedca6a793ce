"""What was measured, in this run and in earlier ones, as JSON beside the page; both are written after every row.

record = Record.open(Path("docs/gpu.md"), machine, {"steps": 50})
record.measured("sd15/torch/picture/512", {"seconds": 1.9})
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from triptych.errors import invalid
from triptych.gpu_check.page import render

MEASURED, ABSENT, SKIPPED, FAILED = "measured", "absent", "skipped", "failed"


class Record:
    """Rows and outcomes of tests by name, each with the number of the run that it is of."""

    def __init__(self, page: Path, content: dict[str, Any]) -> None:
        self._page, self._content = page, content
        self._run: dict[str, Any] = content["runs"][-1]

    @classmethod
    def open(cls, page: Path, machine: Mapping[str, Any], setting: Mapping[str, Any]) -> Record:
        """A new run, after those that lie there."""
        content: dict[str, Any] = {"runs": [], "rows": {}, "tests": {}}
        data = page.with_suffix(".json")
        if data.exists():
            try:
                content |= json.loads(data.read_text())
                number = content["runs"][-1]["number"] + 1
            except (ValueError, KeyError, IndexError, TypeError) as error:
                raise invalid(
                    "page", f"{data} is not what an earlier check wrote: {error}; name another page"
                ) from error
        else:
            number = 1
        began = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        run = {"number": number, "began": began, "machine": dict(machine), "setting": dict(setting), "notes": []}
        content["runs"].append(run)
        record = cls(page, content)
        record.save()
        return record

    @property
    def failures(self) -> int:
        """Rows and tests of this run that went wrong."""
        rows = [entry.get("failed", entry) for entry in self._content["rows"].values()]
        entries = [*rows, *self._content["tests"].values()]
        mine = [entry for entry in entries if entry["run"] == self._run["number"]]
        return sum(entry.get("status") == FAILED or entry.get("outcome") in ("failed", "error") for entry in mine)

    def is_known(self, row: str) -> bool:
        """Whether a run on this machine, with these versions and steps, has measured it, and none failed since."""
        entry = self._content["rows"].get(row, {})
        if entry.get("status") != MEASURED or "failed" in entry:
            return False
        run = next(run for run in self._content["runs"] if run["number"] == entry["run"])
        return bool(run["machine"] == self._run["machine"] and run["setting"] == self._run["setting"])

    def measured(self, row: str, figures: Mapping[str, float]) -> None:
        """In the place of whatever was known of the row."""
        self._content["rows"][row] = {"run": self._run["number"], "status": MEASURED, "figures": dict(figures)}
        self.save()

    def missing(self, row: str, status: str, why: str) -> None:
        """What was measured before stays; that it failed since stands beside it."""
        told = {"run": self._run["number"], "status": status, "why": why}
        if self._content["rows"].get(row, {}).get("status") != MEASURED:
            self._content["rows"][row] = told
        elif status == FAILED:
            self._content["rows"][row]["failed"] = told
        self.save()

    def test(self, name: str, outcome: str) -> None:
        """Of one test."""
        self._content["tests"][name] = {"run": self._run["number"], "outcome": outcome}
        self.save()

    def note(self, text: str) -> None:
        """What else the page should say of this run."""
        self._run["notes"].append(text)
        self.save()

    def save(self) -> None:
        """Each file appears whole."""
        self._page.parent.mkdir(parents=True, exist_ok=True)
        _replace(self._page.with_suffix(".json"), json.dumps(self._content, indent=1) + "\n")
        _replace(self._page, render(self._content))


def _replace(path: Path, text: str) -> None:
    partial = path.with_name(f"{path.name}.partial")
    partial.write_text(text)
    partial.replace(path)

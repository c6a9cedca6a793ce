"""The prompts of a run that failed: each is reported at once, and the exit code is the first one's."""

from __future__ import annotations

import argparse
import json

from triptych.cli import exit_codes
from triptych.cli.progress import say, shortened
from triptych.errors import TriptychError


class Failures:
    """Of `total` prompts; one that stands on the command line by itself needs no number."""

    def __init__(self, arguments: argparse.Namespace, total: int) -> None:
        self._as_json = arguments.json
        self._numbered = arguments.prompts_file is not None
        self._total = total
        self._exit_codes: dict[int, int] = {}

    def add(self, prompt_index: int, prompt: str, error: TriptychError) -> None:
        """Reports one, on one line of stderr and with --json by an object on stdout; quiet or not."""
        place = f"prompt {prompt_index + 1} ({shortened(prompt)}): " if self._numbered else ""
        say(f"triptych: {place}{error.message}")
        if self._as_json:
            told = {"reason": error.reason, "message": error.message, "metadata": error.metadata}
            print(json.dumps({"prompt": prompt, "error": told}), flush=True)
        self._exit_codes[prompt_index] = exit_codes.exit_code(error)

    def finish(self) -> int:
        """Says how many there were; returns the exit code of the first prompt that failed, whichever failed first."""
        if self._numbered and self._exit_codes:
            say(f"triptych: {len(self._exit_codes)} of {self._total} prompts failed")
        return self._exit_codes[min(self._exit_codes)] if self._exit_codes else exit_codes.OK

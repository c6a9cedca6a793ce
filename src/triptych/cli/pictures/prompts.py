"""Where prompts come from: the command line, a file, or standard input."""

from __future__ import annotations

import sys
from pathlib import Path

from triptych.errors import invalid


def read_prompts(prompt: str | None, prompts_file: str | None) -> list[str]:
    """The one `prompt`, or every line of the file ("-": stdin) that is neither blank nor a # comment.

    Raises:
        InvalidArgumentError: the file cannot be read, or holds no prompt.
    """
    if prompts_file is None:
        return [prompt or ""]
    lines = (line.strip() for line in _read(prompts_file).splitlines())
    prompts = [line for line in lines if line and not line.startswith("#")]
    if not prompts:
        raise invalid("prompts-file", f"{prompts_file} holds no prompt")
    return prompts


def _read(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise invalid("prompts-file", f"cannot read {name}: {error}") from error

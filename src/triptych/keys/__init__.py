"""Who may call: names with secrets in a file, hashed, and what callers send to be known by them."""

from __future__ import annotations

from triptych.keys.checking import Keys
from triptych.keys.file import KeyFile

__all__ = ["KeyFile", "Keys"]

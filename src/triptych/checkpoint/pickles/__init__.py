"""Reads torch's pickled files without running code, by rebuilding tensors and nothing else; see `converting.py`."""

from __future__ import annotations

from pathlib import Path

from triptych.checkpoint.pickles.converting import as_safetensors, convert
from triptych.checkpoint.safetensors import TensorInfo, read_header

__all__ = ["as_safetensors", "convert", "read_tensors"]


def read_tensors(path: Path, root: Path | None = None) -> dict[str, TensorInfo]:
    """Every tensor of a weights file by name, a torch file's in what it was converted to; see `read_header`."""
    file = as_safetensors(path, root=root)
    return read_header(file, root if file == path else None)

"""Reads torch's pickled files without running code, by rebuilding tensors and nothing else; see `converting.py`."""

from triptych.checkpoint.pickles.converting import as_safetensors, convert

__all__ = ["as_safetensors", "convert"]

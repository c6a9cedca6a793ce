# Derived from src/triptych/contract/models.py by tools/generate.py; do not edit.
"""Triton model `preprocessor` of the vae stage; the work is in `triptych_vae.preparing`."""

from triptych_vae.preparing import PreprocessorModel as TritonPythonModel

__all__ = ["TritonPythonModel"]

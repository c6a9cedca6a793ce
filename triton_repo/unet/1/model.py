# Derived from src/triptych/contract/models.py by tools/generate.py; do not edit.
"""Triton model `unet` of the unet stage; the work is in `triptych_unet.model`."""

from triptych_unet.model import UNetModel as TritonPythonModel

__all__ = ["TritonPythonModel"]

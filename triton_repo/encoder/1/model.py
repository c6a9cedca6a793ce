# Derived from src/triptych/contract/models.py by tools/generate.py; do not edit.
"""Triton model `encoder` of the encoder stage; the work is in `triptych_encoder.model`."""

from triptych_encoder.model import EncoderModel as TritonPythonModel

__all__ = ["TritonPythonModel"]

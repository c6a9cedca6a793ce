# Derived from src/triptych/contract/models.py by tools/generate.py; do not edit.
"""Triton model `encoder_2` of the encoder stage; the work is in `triptych_encoder.model`."""

from triptych_encoder.model import SecondEncoderModel as TritonPythonModel

__all__ = ["TritonPythonModel"]

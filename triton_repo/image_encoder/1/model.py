# Derived from src/triptych/contract/models.py by tools/generate.py; do not edit.
"""Triton model `image_encoder` of the encoder stage; the work is in `triptych_encoder.images`."""

from triptych_encoder.images import ImageEncoderModel as TritonPythonModel

__all__ = ["TritonPythonModel"]

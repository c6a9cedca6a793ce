# Derived from src/triptych/contract/models.py by tools/generate.py; do not edit.
"""Triton model `image_encoder` of the encoder stage; the work is in `triptych_encoder.images`."""

import gc

gc.disable()  # what is imported stays, and is never walked in search of garbage

from triptych_encoder.images import ImageEncoderModel as TritonPythonModel  # noqa: E402

gc.freeze()
gc.enable()

__all__ = ["TritonPythonModel"]

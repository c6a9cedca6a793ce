# Derived from src/triptych/contract/models.py by tools/generate.py; do not edit.
"""Triton model `vae_encoder` of the vae stage; the work is in `triptych_vae.model`."""

from triptych_vae.model import VaeEncoderModel as TritonPythonModel

__all__ = ["TritonPythonModel"]

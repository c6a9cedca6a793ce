# Derived from src/triptych/contract/models.py by tools/generate.py; do not edit.
"""Triton model `upscaler` of the vae stage; the work is in `triptych_vae.upscaling`."""

from triptych_vae.upscaling import UpscalerModel as TritonPythonModel

__all__ = ["TritonPythonModel"]

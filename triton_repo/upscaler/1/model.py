# Derived from src/triptych/contract/models.py by tools/generate.py; do not edit.
"""Triton model `upscaler` of the vae stage; the work is in `triptych_vae.upscaling`."""

import gc

gc.disable()  # what is imported stays, and is never walked in search of garbage

from triptych_vae.upscaling import UpscalerModel as TritonPythonModel  # noqa: E402

gc.freeze()
gc.enable()

__all__ = ["TritonPythonModel"]

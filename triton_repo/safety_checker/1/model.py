# Derived from src/triptych/contract/models.py by tools/generate.py; do not edit.
"""Triton model `safety_checker` of the vae stage; the work is in `triptych_vae.safety`."""

from triptych_vae.safety import SafetyCheckerModel as TritonPythonModel

__all__ = ["TritonPythonModel"]

"""Tests, and what they start: torch's idle threads sleep there, for spinning ones keep cores from whoever has work."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # read as torch is imported

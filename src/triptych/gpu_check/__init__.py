"""What a GPU does with Triptych, in one command: `triptych gpu-check`, or `make gpu-check` in a clone.

code = check(Settings(page=Path("docs/gpu.md"), minutes=8.0))
"""

from triptych.gpu_check.check import NoGpuError, check
from triptych.gpu_check.settings import MODELS, Settings

__all__ = ["MODELS", "NoGpuError", "Settings", "check"]

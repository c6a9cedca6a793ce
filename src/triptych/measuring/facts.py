"""What this Python has for GPUs, as one line of JSON; a process of its own, for both packages fill memory.

`python -m triptych.measuring.facts` prints {"torch": "2.13.0", "cuda": "13.0", "torch_gpus": 1, "tensorrt": ...}.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from triptych.errors import FailedPreconditionError


def facts() -> dict[str, Any]:
    """Versions, "" of what is missing; `*_problem` says why something cannot be used."""
    return _torch() | _tensorrt()


def _torch() -> dict[str, Any]:
    found: dict[str, Any] = {"torch": "", "cuda": "", "torch_gpus": 0, "torch_problem": ""}
    try:
        import torch
    except (ImportError, OSError) as error:
        return found | {"torch_problem": f"torch cannot be imported: {error}"}
    found |= {"torch": str(torch.__version__), "cuda": torch.version.cuda or ""}
    if not found["cuda"]:
        return found | {"torch_problem": f"torch {torch.__version__} is built without CUDA"}
    found["torch_gpus"] = torch.cuda.device_count()
    return found if found["torch_gpus"] else found | {"torch_problem": f"torch {torch.__version__} sees no GPU"}


def _tensorrt() -> dict[str, Any]:
    """By the engine's own rules, which refuse versions that are known to be wrong."""
    try:
        from triptych.engine.tensorrt.api import tensorrt

        return {"tensorrt": str(tensorrt().__version__), "tensorrt_problem": ""}
    except (FailedPreconditionError, ImportError) as error:
        return {"tensorrt": "", "tensorrt_problem": str(error)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(facts()) + "\n")

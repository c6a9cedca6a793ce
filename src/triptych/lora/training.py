"""What LyCORIS writes of a training into a file's metadata, where the tensors leave open how they are scaled.

With `rs_lora` it divides by the root of the rank. Most algorithms' alphas are written so that dividing them by the rank
comes to the same; GLoRA's is the plain one, and a LoKr of two whole matrices tells its rank by its alpha alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from triptych.lora.algorithms import Options
from triptych.lora.algorithms.base import RANK_STABILIZED

# sd-scripts', of every trainer's own arguments.
_ARGUMENTS = "ss_network_args"


def training_options(metadata: Mapping[str, str]) -> Options:
    """For all modules of a file."""
    # As LyCORIS takes it: whatever is not called false.
    is_stabilized = str(_arguments(metadata).get("rs_lora", False)).lower() != "false"
    return {RANK_STABILIZED: True} if is_stabilized else {}


def _arguments(metadata: Mapping[str, str]) -> Mapping[str, Any]:
    """Empty where the text is something else: it is a note of whoever trained, and mostly nothing hangs on it."""
    try:
        arguments = json.loads(metadata.get(_ARGUMENTS, "{}"))
    except (ValueError, RecursionError):
        return {}
    return arguments if isinstance(arguments, dict) else {}

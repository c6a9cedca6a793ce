"""What a call tells its stage of the axes along which pictures tile."""

from __future__ import annotations

import numpy as np

from triptych.contract import WRAPPING
from triptych.contract.wrapping import AXES
from triptych_orchestrator.stages.triton import Tensors


def wrapping(axes: str, samples: int = 1) -> Tensors:
    """The same for all samples; nothing where there are no axes."""
    return {WRAPPING.name: np.full((samples, 1), AXES.index(axes), np.uint8)} if axes else {}

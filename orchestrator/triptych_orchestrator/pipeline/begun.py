"""A pass that has begun: its latents, and what is put back into them after each step."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
import numpy.typing as npt

from triptych_orchestrator.sampling.known import Known
from triptych_orchestrator.sampling.loop import AfterStep, unchanged
from triptych_orchestrator.sampling.schedulers import Solver

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Begun:
    """Latents [B, C, h, w] as noisy as they are to be, none before the first pass; `known` where it is inpainting."""

    latents: Array = field(default_factory=lambda: np.empty(0, np.float32))
    known: Known | None = None

    def after_step(self, solver: Solver) -> AfterStep:
        """What the loop does to each state."""
        return partial(self.known.put_back, solver) if self.known else unchanged

    def at(self, latents: Array) -> Begun:
        """The same some steps later."""
        return replace(self, latents=latents)

"""What is known of a picture that is drawn anew in part: put back after each step, as noisy as the rest is by then."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triptych_orchestrator.sampling.schedulers import Solver

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Known:
    """Latents x_0 and the noise that the run began with, both [B, C, h, w].

    `drawn` is 1 where the picture is drawn anew and 0 where it is known, [1 or B, 1, h, w].
    """

    original: Array
    noise: Array
    drawn: Array

    def put_back(self, solver: Solver, index: int, latents: Array) -> Array:
        """The state after that evaluation; after the last of all, what is known has no noise left."""
        following = index + 1
        known = self.original
        if following < len(solver.timesteps):
            known = solver.add_noise(known, self.noise, following)
        return (1 - self.drawn) * known + self.drawn * latents

"""What the predictions for a job's conditionings weigh in its guidance, and which of them see a picture besides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from triptych_orchestrator.sampling.guidance import Weight, classifier_free
from triptych_orchestrator.stages.conditioning import Conditioning

Array = npt.NDArray[np.float32]


class Guided(NamedTuple):
    """One conditioning of a step, and its prediction's weight; where it does not see, zeros lie beside its latents."""

    conditioning: Conditioning
    weight: Weight
    sees: bool = True

    def seeing(self, image_latents: Array) -> list[Conditioning]:
        """One conditioning for all samples, or one for each, of image latents [rows, C, h, w]."""
        shown = image_latents if self.sees else np.zeros_like(image_latents[:1])
        return [self.conditioning.beside(row) for row in shown]


def guidance_of(conditionings: Sequence[Conditioning], guidance_scale: float) -> list[Guided]:
    """Of the negative prompt's conditioning and the prompt's, or of the latter alone where it is not guided."""
    weights = classifier_free(guidance_scale)
    return [Guided(conditioning, weight) for conditioning, weight in zip(conditionings, weights, strict=True)]

"""What the predictions for a job's conditionings weigh in its guidance, and which of them see a picture besides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from triptych.contract import IMAGE_LATENTS
from triptych_orchestrator.jobs.tasks.editing import Edit
from triptych_orchestrator.sampling.guidance import Weight, classifier_free, instructed
from triptych_orchestrator.stages.conditioning import Conditioning

Array = npt.NDArray[np.float32]


class Guided(NamedTuple):
    """One conditioning of a step, and its prediction's weight; where it does not see, zeros lie beside its latents.

    `is_negative`: it is the negative prompt's.
    """

    conditioning: Conditioning
    weight: Weight
    sees: bool = True
    is_negative: bool = False

    def seeing(self, image_latents: Array) -> list[Conditioning]:
        """One conditioning for all samples, or one for each, of image latents [rows, C, h, w]."""
        shown = image_latents if self.sees else np.zeros_like(image_latents[:1])
        return [self.conditioning.beside(**{IMAGE_LATENTS.name: row}) for row in shown]


def guidance_of(conditionings: Sequence[Conditioning], guidance_scale: float, edit: Edit | None = None) -> list[Guided]:
    """Of the negative prompt's conditioning and the prompt's, or of the latter alone where it is not guided.

    Where an `edit` is guided by its image too, the negative prompt's is there twice, first without the image.
    """
    if edit is None:
        weights = classifier_free(guidance_scale)
        *negative, _ = weights
        pairs = enumerate(zip(conditionings, weights, strict=True))
        return [Guided(each, weight, is_negative=place < len(negative)) for place, (each, weight) in pairs]
    weights = instructed(guidance_scale, edit.image_guidance_scale)
    blind = [Guided(conditionings[0], weights[0], sees=False)] if len(weights) > 1 else []
    seeing = zip(conditionings, weights[len(blind) :], strict=True)
    return [*blind, *(Guided(each, weight) for each, weight in seeing)]

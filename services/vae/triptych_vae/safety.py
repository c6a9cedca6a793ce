"""The safety checker's model, which stands beside the VAEs': a picture in, and whether it is not to be shown out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from triptych.checkpoint import Checkpoint
from triptych.contract import SAFETY_CHECKER
from triptych.errors import invalid
from triptych.stage import NOT_FINITE, Batch, StageModel, not_finite

# Of StableDiffusionSafetyChecker: what a picture of a special kind is judged more strictly by, and how scores count.
_STRICTER = 0.01
_DECIMALS = 3


class SafetyCheckerModel(StageModel):
    """`<checkpoint>.safety_checker`: image uint8 [B, H, W, 3] -> nsfw uint8 [B, 1], as diffusers' checker has it."""

    spec = SAFETY_CHECKER

    def warm_up_inputs(self, checkpoint: Checkpoint) -> Batch:
        """One picture of one grey."""
        return self.prepare({"image": np.zeros((1, 8, 8, 3), np.uint8)})

    def prepare(self, batch: Batch) -> Batch:
        """As the checkpoint's feature extractor would."""
        _, height, width, channels = batch["image"].shape
        if channels != 3 or not (height and width):
            raise invalid("image", f"is {height} x {width} x {channels}, must be RGB")
        assert self.component.extractor is not None
        pixels = batch["image"].astype(np.uint8)
        return {"image": np.stack([self.component.extractor.values(picture) for picture in pixels])}

    def run(self, batch: Batch) -> Batch:
        """Scores, and what follows from them."""
        scores = self.infer(batch)
        unsound = not_finite(scores)
        nsfw = np.logical_or(judged(scores), unsound)
        return {"nsfw": nsfw[:, None].astype(np.uint8), NOT_FINITE: unsound}


def judged(scores: Batch) -> npt.NDArray[np.bool_]:
    """For each sample whether any concept's score, how far its likeness is above what is allowed, is above 0."""
    special, concepts = (scores[name].astype(np.float64) for name in ("special_scores", "concept_scores"))
    strictness = _STRICTER * (special.round(_DECIMALS) > 0).any(axis=1, keepdims=True)
    found: npt.NDArray[np.bool_] = ((concepts + strictness).round(_DECIMALS) > 0).any(axis=1)
    return found

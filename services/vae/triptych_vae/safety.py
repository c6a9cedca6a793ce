"""The safety checker's model, which stands beside the VAEs': a picture in, and whether it is not to be shown out."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from PIL import Image

from triptych.checkpoint import Checkpoint
from triptych.checkpoint.sources.feature_extractor import FeatureExtractor
from triptych.contract import SAFETY_CHECKER
from triptych.engine.port import Array
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
        pictures = [extracted(pixels, self.component.extractor) for pixels in batch["image"].astype(np.uint8)]
        return {"image": np.stack(pictures)}

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


def extracted(pixels: Array, extractor: FeatureExtractor) -> npt.NDArray[np.float32]:
    """CLIPImageProcessor's picture [3, h, w] of pixels [H, W, 3], with its roundings on the way."""
    image = pixels
    if extractor.size:
        height, width = _resized(image.shape[0], image.shape[1], extractor.size)
        image = np.asarray(Image.fromarray(image).resize((width, height), Image.Resampling(extractor.resample)))
    if extractor.crop_size:
        image = _centre(image, *extractor.crop_size)
    values = (image.astype(np.float64) * extractor.factor).astype(np.float32)
    if extractor.std:
        values = (values - np.array(extractor.mean, np.float32)) / np.array(extractor.std, np.float32)
    return np.ascontiguousarray(values.transpose(2, 0, 1))


def _resized(height: int, width: int, size: tuple[int, ...]) -> tuple[int, int]:
    """Both extents where the shorter side alone is given."""
    if len(size) == 2:
        return size[0], size[1]
    longer = int(size[0] * max(height, width) / min(height, width))
    return (size[0], longer) if height <= width else (longer, size[0])


def _centre(image: Array, height: int, width: int) -> Array:
    """The middle; what lies outside of the image is black."""
    (top, above, below), (left, before, after) = (
        _cut(extent, wanted) for extent, wanted in zip(image.shape[:2], (height, width), strict=True)
    )
    framed = np.pad(image, [(above, below), (before, after), (0, 0)])
    return framed[top : top + height, left : left + width]


def _cut(extent: int, wanted: int) -> tuple[int, int, int]:
    """Where to begin, and what to add before and behind."""
    spare = max(0, wanted - extent)
    before = math.ceil(spare / 2)
    return (extent - wanted) // 2 + before, before, spare - before

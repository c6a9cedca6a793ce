"""The model of an IP-Adapter's image encoder: a picture in, what a UNet's cross-attentions look at of it out."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from triptych.checkpoint import Checkpoint
from triptych.checkpoint.families.ip_adapter import extractor_of, image_attentions
from triptych.contract import IMAGE_ENCODER, IMAGE_PROMPT
from triptych.engine.port import Array, one_by_one
from triptych.engine.weights import held_weights, map_files
from triptych.errors import invalid
from triptych.stage import Batch, StageModel


class ImageEncoderModel(StageModel):
    """`<name>.image_encoder`: image uint8 [B, H, W, 3], shown uint8 [B, 1] -> image_prompt [B, 2, tokens, widths].

    The engine's graph ends at the tokens; keys and values are made of them here, by matrices that stay where they lie.
    """

    spec = IMAGE_ENCODER

    def warm_up_inputs(self, checkpoint: Checkpoint) -> Batch:
        """One picture of one grey."""
        assert self._matrices  # mapped now, whatever gets the file's name later
        return self.prepare({"image": np.zeros((1, 8, 8, 3), np.uint8), "shown": np.ones((1, 1), np.uint8)})

    def prepare(self, batch: Batch) -> Batch:
        """As CLIPImageProcessor would."""
        _, height, width, channels = batch["image"].shape
        if channels != 3 or not (height and width):
            raise invalid("image", f"is {height} x {width} x {channels}, must be RGB")
        extractor = extractor_of(self.component)
        pictures = [extractor.values(pixels) for pixels in batch["image"].astype(np.uint8)]
        return {"image": np.stack(pictures), "shown": (batch["shown"][:, 0] != 0).astype(np.float32)}

    def run(self, batch: Batch) -> Batch:
        """Each sample by itself, whatever the engine: what is remembered of it must not depend on its company."""
        tokens = one_by_one(self.engine.infer, batch)["tokens"]
        sides = [np.concatenate([_product(tokens, matrix) for matrix in side], axis=-1) for side in self._matrices]
        return {IMAGE_PROMPT.name: np.stack(sides, axis=1)}

    @cached_property
    def _matrices(self) -> list[list[Array]]:
        """For keys, and for values: [width, text's width] of each of the UNet's cross-attentions."""
        pairs, maps = image_attentions(self.component), map_files(self.component)
        return [[matrix for _, matrix in held_weights(self.component, side, maps)] for side in zip(*pairs, strict=True)]


def _product(tokens: Array, matrix: Array) -> Array:
    """[B, tokens, width], a half being widened for as long as it takes."""
    product: Array = np.matmul(tokens.astype(np.float32, copy=False), matrix.astype(np.float32, copy=False).T)
    return product

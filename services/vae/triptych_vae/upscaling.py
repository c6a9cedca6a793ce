"""The upscalers' model, which stands beside the VAEs': a picture in, a larger one out."""

from __future__ import annotations

import numpy as np

from triptych.checkpoint import Checkpoint
from triptych.checkpoint.families.upscalers import pixels_together
from triptych.contract import UPSCALER
from triptych.engine.port import Array
from triptych.errors import invalid
from triptych.stage import Batch, StageModel

_WARM_UP = 8


class UpscalerModel(StageModel):
    """`<name>.upscaler`: image uint8 [B, H, W, 3] -> sample float32 [B, 3, H', W'], nominally in [0, 1]."""

    spec = UPSCALER

    def warm_up_inputs(self, checkpoint: Checkpoint) -> Batch:
        """One small picture."""
        return {"image": np.zeros((1, 3 * self._together**2, _WARM_UP, _WARM_UP), np.float32)}

    def prepare(self, batch: Batch) -> Batch:
        """From 8 bits to [0, 1], pixels laid side by side where the network wants that."""
        _, height, width, channels = batch["image"].shape
        if channels != 3 or height % self._together or width % self._together or not (height and width):
            problem = f"must be RGB, height and width multiples of {self._together}"
            raise invalid("image", f"is {height} x {width} x {channels}, {problem}")
        unit = batch["image"].astype(np.float32).transpose(0, 3, 1, 2) / np.float32(255)
        return {"image": np.ascontiguousarray(_unshuffled(unit, self._together))}

    def run(self, batch: Batch) -> Batch:
        """Enlarges."""
        return self.infer(batch)

    @property
    def _together(self) -> int:
        return pixels_together(self.component.architecture)


def _unshuffled(image: Array, together: int) -> Array:
    """As torch's pixel_unshuffle: each channel becomes as many as there are places in a square of that side."""
    batch, channels, height, width = image.shape
    parted = image.reshape(batch, channels, height // together, together, width // together, together)
    return parted.transpose(0, 1, 3, 5, 2, 4).reshape(batch, -1, height // together, width // together)

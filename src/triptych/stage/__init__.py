"""What the stages share: Triton's Python-backend protocol on one side, an engine on the other."""

from triptych.stage.model import Batch, StageModel

__all__ = ["Batch", "StageModel"]

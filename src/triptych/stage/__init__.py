"""What the stages share: Triton's Python-backend protocol on one side, an engine on the other."""

from triptych.stage.model import NOT_FINITE, Batch, StageModel, axes_of, not_finite

__all__ = ["NOT_FINITE", "Batch", "StageModel", "axes_of", "not_finite"]

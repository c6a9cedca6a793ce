"""The tensor contract between the orchestrator and the stages; `config.pbtxt` and both sides' checks derive from it."""

from triptych.contract.models import (
    CONDITIONING_KEY_BYTES,
    ENCODER,
    MODELS,
    STAGES,
    UNET,
    VAE_DECODER,
    ModelSpec,
    TensorSpec,
    model_name,
)

__all__ = [
    "CONDITIONING_KEY_BYTES",
    "ENCODER",
    "MODELS",
    "STAGES",
    "UNET",
    "VAE_DECODER",
    "ModelSpec",
    "TensorSpec",
    "model_name",
]

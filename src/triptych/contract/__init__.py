"""The tensor contract between the orchestrator and the stages; `config.pbtxt` and both sides' checks derive from it."""

from triptych.contract.loras import (
    LORA_KEY_BYTES,
    NO_LORAS,
    LoraWeight,
    decode_lora_set,
    encode_lora_set,
    lora_key,
)
from triptych.contract.models import (
    CONDITIONING_KEY_BYTES,
    ENCODER,
    LORA_MODELS,
    MODELS,
    REPORT,
    STAGES,
    UNET,
    VAE_DECODER,
    VAE_ENCODER,
    ModelSpec,
    Report,
    TensorSpec,
    model_name,
)

__all__ = [
    "CONDITIONING_KEY_BYTES",
    "ENCODER",
    "LORA_KEY_BYTES",
    "LORA_MODELS",
    "MODELS",
    "NO_LORAS",
    "REPORT",
    "STAGES",
    "UNET",
    "VAE_DECODER",
    "VAE_ENCODER",
    "LoraWeight",
    "ModelSpec",
    "Report",
    "TensorSpec",
    "decode_lora_set",
    "encode_lora_set",
    "lora_key",
    "model_name",
]

"""The unet stage: models for Triton's Python backend."""

"""The encoder stage: models for Triton's Python backend."""

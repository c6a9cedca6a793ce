"""The vae stage: models for Triton's Python backend."""

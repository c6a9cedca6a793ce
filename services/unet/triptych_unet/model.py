"""The UNet model: latents and timesteps in, predicted noise out, each sample with the conditioning its key names."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from triptych.checkpoint import Checkpoint
from triptych.contract import UNET
from triptych.contract.carried import ConditioningLostError
from triptych.engine import EngineSettings
from triptych.engine.port import Array
from triptych.errors import invalid
from triptych.stage import Batch, StageModel
from triptych_unet.conditioning import ConditioningStore

_CAPACITY_BYTES = 256 * 1024 * 1024
_TTL_S = 900.0
# Latents, on a CPU; a warm-up must not take longer than a step is worth.
_LARGEST_WARM_UP = 64


class UNetModel(StageModel):
    """`<checkpoint>.unet`: latents [B, C, h, w], timestep [B, 1], conditioning_key [B, 16] -> noise_pred [B, C, h, w].

    A request that brings encoder_hidden_states [B, tokens, hidden] has them kept under its keys. A key that is not
    held answers NOT_FOUND, which tells the orchestrator to send both again.
    """

    spec = UNET

    def open(self, path: Path, engine: str, settings: EngineSettings) -> None:
        """Loads, with nothing kept yet."""
        self.store = ConditioningStore(_CAPACITY_BYTES, _TTL_S)
        super().open(path, engine, settings)

    def warm_up_inputs(self, checkpoint: Checkpoint) -> Batch:
        """One sample of about the checkpoint's own size."""
        config = self.component.architecture.config
        return {
            "latents": np.zeros((1, config["in_channels"], *self.warm_up_size(_LARGEST_WARM_UP)), np.float32),
            "timestep": np.ones(1, np.float32),
            "encoder_hidden_states": np.zeros((1, checkpoint.tokens, config["cross_attention_dim"]), np.float32),
        }

    def prepare(self, batch: Batch) -> Batch:
        """Gathers each sample's conditioning by its key."""
        config = self.component.architecture.config
        if batch["latents"].shape[1] != config["in_channels"]:
            raise invalid("latents", f"has {batch['latents'].shape[1]} channels, must have {config['in_channels']}")
        keys = [row.tobytes() for row in batch["conditioning_key"]]
        states = batch.get("encoder_hidden_states")
        if states is not None:
            if states.shape[2] != config["cross_attention_dim"]:
                raise invalid(
                    "encoder_hidden_states", f"must be {config['cross_attention_dim']} wide, is {states.shape[2]}"
                )
            for key, state in dict(zip(keys, states, strict=True)).items():
                self.store.put(key, state)
        else:
            states = self._gather(keys)
        return {"latents": batch["latents"], "timestep": batch["timestep"][:, 0], "encoder_hidden_states": states}

    def _gather(self, keys: list[bytes]) -> Array:
        held = {key: self.store.get(key) for key in set(keys)}
        lost = [key.hex() for key, value in held.items() if value is None]
        if lost:
            raise ConditioningLostError(
                f"conditioning {', '.join(lost)} is not held here; send encoder_hidden_states again"
            )
        return np.stack([value for key in keys if (value := held[key]) is not None])

    def run(self, batch: Batch) -> Batch:
        """Runs the UNet."""
        return self.engine.infer(batch)

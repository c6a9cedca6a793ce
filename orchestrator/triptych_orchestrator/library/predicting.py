"""What a UNet predicts where nothing but its weights tells: asked once, as AUTOMATIC1111's web UI asks.

At the last timestep x_t is nearly all noise. A model that predicts noise answers about x_t itself; one that predicts
v = alpha_t * noise - sigma_t * x_0 (Salimans and Ho, arXiv:2202.00512, section 4) answers about -x_0, far below it.
"""

from __future__ import annotations

import numpy as np

from triptych.checkpoint import Checkpoint, Prediction, image_channels
from triptych.checkpoint.sources.prediction import EPSILON, VELOCITY
from triptych.contract import IMAGE_LATENTS, UNET
from triptych.errors import InvalidArgumentError
from triptych_orchestrator.stages.conditioning import Conditioning
from triptych_orchestrator.stages.pool import PlacedModel, ReplicaPool
from triptych_orchestrator.stages.triton import Tensors

# The web UI's input, and its bound for the mean of what is answered above the input.
_VALUE, _TIMESTEP, _EXTENT, _BOUND = 0.5, 999.0, 8, -1.0
_REQUEST = "prediction-type"


async def evaluated(pool: ReplicaPool, model: PlacedModel, checkpoint: Checkpoint, timeout_s: float) -> Prediction:
    """By one evaluation of the placed UNet; at the checkpoint's own size where the engine takes none so small."""
    try:
        mean = await _mean(pool, model, checkpoint, (_EXTENT, _EXTENT), timeout_s)
    except InvalidArgumentError:
        mean = await _mean(pool, model, checkpoint, checkpoint.components[UNET.name].latent_size, timeout_s)
    return Prediction(VELOCITY if mean < _BOUND else EPSILON, f"one evaluation of its UNet ({mean:.2f})")


async def _mean(
    pool: ReplicaPool, model: PlacedModel, checkpoint: Checkpoint, size: tuple[int, int], timeout_s: float
) -> float:
    architecture = checkpoint.components[UNET.name].architecture
    width = architecture.config["cross_attention_dim"]
    # All tokens being alike, their number makes no difference.
    states = np.full((checkpoint.tokens, width), _VALUE, np.float32)
    conditioning = Conditioning.of(encoder_hidden_states=states)
    if seen := image_channels(architecture):
        conditioning = conditioning.beside(**{IMAGE_LATENTS.name: np.zeros((seen, *size), np.float32)})
    question: Tensors = {
        "latents": np.full((1, checkpoint.latent_channels, *size), _VALUE, np.float32),
        "timestep": np.full((1, 1), _TIMESTEP, np.float32),
        "conditioning_key": conditioning.key[None],
        **{name: tensor[None] for name, tensor in conditioning.tensors.items()},
    }
    answer, _ = await pool.run(model, lambda replica: replica.infer(model, question, _REQUEST, timeout_s))
    return float(answer["noise_pred"].mean() - _VALUE)

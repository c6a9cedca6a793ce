"""Triptych's engines alone, where no Triton can run: one process, no orchestrator, no solver.

with engines_worker(checkpoint, "torch", device="cuda:0", precision="fp16", cache_dir=cache) as engines:
    seconds = engines.ask({"num_inference_steps": 50, "width": 512, "height": 512})
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from triptych.checkpoint import Checkpoint
from triptych.contract import UNET, VAE_DECODER
from triptych.engine import Engine, EngineSettings, load_engine
from triptych.engine.conditions import conditioning_dims
from triptych.engine.port import Array
from triptych.measuring.worker import Work, Worker, answer_all

# Latents must not run away over the steps; what they become is no picture.
_DAMPING = np.float32(0.02)


def engines_worker(
    checkpoint: Path, engine: str, *, device: str, precision: str, cache_dir: Path, log: Path | None = None
) -> Worker:
    """The process."""
    setting = {"checkpoint": str(checkpoint), "engine": engine, "device": device, "precision": precision}
    return Worker(__name__, {**setting, "cache_dir": str(cache_dir)}, log)


def load(setting: dict[str, Any]) -> Work:
    """An engine of each model; a request is one encoding, as many guided UNet steps as it asks for, one decoding."""
    checkpoint = Checkpoint.open(Path(setting["checkpoint"]))
    threads = len(os.sched_getaffinity(0))
    settings = EngineSettings(threads, Path(setting["cache_dir"]), setting["device"], setting["precision"])
    names = (*(part.model for part in checkpoint.family.texts), UNET.name, VAE_DECODER.name)
    engines = {name: load_engine(setting["engine"], checkpoint.components[name], settings) for name in names}
    return lambda parameters: _paint(engines, checkpoint, parameters)


def _paint(engines: dict[str, Engine], checkpoint: Checkpoint, parameters: dict[str, Any]) -> None:
    conditions = _conditions(engines, checkpoint, parameters["height"], parameters["width"])
    scale = checkpoint.vae_scale_factor
    shape = (1, checkpoint.latent_channels, parameters["height"] // scale, parameters["width"] // scale)
    latents = np.random.default_rng(0).standard_normal(shape, np.float32)
    for timestep in np.linspace(999, 1, parameters["num_inference_steps"], dtype=np.float32):
        inputs = {"latents": np.concatenate([latents, latents]), "timestep": np.full(2, timestep, np.float32)}
        prediction = engines[UNET.name].infer(inputs | conditions)["noise_pred"]
        latents = latents - _DAMPING * prediction[:1].astype(np.float32)
    if not np.isfinite(engines[VAE_DECODER.name].infer({"latents": latents})["image"]).all():
        raise ValueError("the picture has NaN or infinite numbers")


def _conditions(engines: dict[str, Engine], checkpoint: Checkpoint, height: int, width: int) -> dict[str, Array]:
    """What the UNet takes of the texts, a pair of them, and of the picture's sizes."""
    outputs = []
    for part in checkpoint.family.texts:
        hidden = checkpoint.components[part.model].architecture.config["hidden_size"]
        texts: dict[str, Array] = {
            "inputs_embeds": np.random.default_rng(1).standard_normal((2, checkpoint.tokens, hidden), np.float32),
            "pooled_position": np.zeros(2, np.int64),
            "skip_layers": np.full(2, part.skip_layers, np.int64),
            "final_norm": np.full(2, part.final_norm, np.bool_),
        }
        outputs.append(engines[part.model].infer(texts))
    time_ids = checkpoint.family.time_ids({}, height, width, False).positive
    given: dict[str, Array] = {
        "encoder_hidden_states": np.concatenate([output["hidden_states"] for output in outputs], axis=-1),
        "text_embeds": outputs[-1]["pooled"],
        "time_ids": np.tile(np.array(time_ids, np.float32), (2, 1)),
    }
    return {name: given[name] for name in conditioning_dims(checkpoint.components[UNET.name].architecture)}


if __name__ == "__main__":
    sys.exit(answer_all(lambda: load(json.loads(sys.argv[1]))))

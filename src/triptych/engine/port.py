"""The port behind which every engine stands: named numpy arrays in, named numpy arrays out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from triptych.checkpoint import Component

Array = npt.NDArray[np.generic]


@dataclass(frozen=True)
class EngineSettings:
    """What an operator decides about engines: how many cores one may use, where artifacts are cached."""

    threads: int
    cache_dir: Path


class Engine(ABC):
    """One model of one checkpoint, weights in place, ready to run; not thread-safe.

    Inputs and outputs are those of `triptych.engine.modules`: `encoder` input_ids -> hidden_states, `unet` latents,
    timestep, encoder_hidden_states -> noise_pred, `vae_decoder` latents -> image. All float tensors are float32.
    """

    @classmethod
    @abstractmethod
    def load(cls, component: Component, settings: EngineSettings) -> Engine:
        """Brings a component's weights into an engine; CheckpointInvalidError if they do not fit its architecture."""

    @abstractmethod
    def infer(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Runs one batch; every array has the batch as its first dimension."""

"""A prompt's hidden states under the key of their content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triptych.contract import CONDITIONING_KEY_BYTES


@dataclass(frozen=True)
class Conditioning:
    """One prompt's hidden states [tokens, hidden] and their content key."""

    states: npt.NDArray[np.float32]
    key: npt.NDArray[np.uint8]

    @property
    def tensors(self) -> Mapping[str, npt.NDArray[np.float32]]:
        """By the contract's names, without a batch."""
        return {"encoder_hidden_states": self.states}

    @classmethod
    def of(cls, states: npt.NDArray[np.float32]) -> Conditioning:
        """Keyed by content, so that equal prompts share one entry on a replica."""
        digest = hashlib.blake2b(states.tobytes(), digest_size=CONDITIONING_KEY_BYTES).digest()
        return cls(states, np.frombuffer(digest, np.uint8))

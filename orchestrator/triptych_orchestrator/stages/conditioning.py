"""All that a UNet is conditioned on besides latents and timestep, under the key of its content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triptych.contract import CONDITIONING_KEY_BYTES

Array = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Conditioning:
    """One sample's tensors by the contract's names, without a batch, and their content key."""

    tensors: Mapping[str, Array]
    key: npt.NDArray[np.uint8]

    @classmethod
    def of(cls, **tensors: Array) -> Conditioning:
        """Keyed by content, so that equal prompts share one entry on a replica."""
        digest = hashlib.blake2b(digest_size=CONDITIONING_KEY_BYTES)
        for name, array in sorted(tensors.items()):
            digest.update(f"{name}{array.shape}".encode() + array.tobytes())
        return cls(tensors, np.frombuffer(digest.digest(), np.uint8))

    def beside(self, **tensors: Array) -> Conditioning:
        """The same with these besides."""
        return Conditioning.of(**self.tensors, **tensors)

"""A request's LoRAs on their way to a stage: the key on every call, the set itself where the stage does not know it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import numpy as np

from triptych.contract import NO_LORAS, LoraWeight, encode_lora_set, lora_key
from triptych.contract.carried import LoraLostError, PreparingError
from triptych_orchestrator.stages.triton import Tensors

# Beside a step that is short, and a merge takes longer.
_POLL_INTERVAL_S = 0.01

LORA_CONTENT = "loras"
"""The input that brings a set along."""


@dataclass(frozen=True)
class LoraSet:
    """What one model's weights should hold; `key` names it to the stages."""

    loras: tuple[LoraWeight, ...]
    key: bytes

    @classmethod
    def of(cls, loras: Sequence[LoraWeight]) -> LoraSet:
        """In the order given, which is the order in which they are added to the weights."""
        return cls(tuple(loras), lora_key(loras))

    def tensors(self, samples: int, *, whole: bool) -> Tensors:
        """The inputs `lora_key` [samples, 16] and, where `whole`, `loras` [samples, 1]; nothing for no LoRAs."""
        if self.key == NO_LORAS:
            return {}
        keys: Tensors = {"lora_key": np.tile(np.frombuffer(self.key, np.uint8), (samples, 1))}
        if not whole:
            return keys
        content = np.full((samples, 1), b"", np.object_)
        content[0, 0] = encode_lora_set(self.loras)
        return keys | {LORA_CONTENT: content}

    async def infer(
        self, send: Callable[[Tensors], Awaitable[Tensors]], samples: int, *, known: bool, timeout_s: float
    ) -> Tensors:
        """The answer to `send`, which is given this set's inputs: again where the stage does not know the set.

        Asks again while the stage prepares it, for at most `timeout_s`; without `known` the set is brought at once.
        """
        until_s = time.monotonic() + timeout_s
        while True:
            try:
                return await send(self.tensors(samples, whole=not known))
            except LoraLostError:
                known = False
            except PreparingError:
                if time.monotonic() > until_s:
                    raise
                known = True
                await asyncio.sleep(_POLL_INTERVAL_S)

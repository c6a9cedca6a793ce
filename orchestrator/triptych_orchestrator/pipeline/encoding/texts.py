"""The encoder stage: prompts become hidden states and pooled vectors, remembered by what was asked."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triptych_orchestrator.stages.lora_sets import LoraSet
from triptych_orchestrator.stages.pool import PlacedModel, Replica, ReplicaPool
from triptych_orchestrator.stages.triton import Tensors
from triptych_orchestrator.stages.use import StageUse

_CACHE_ENTRIES = 256


@dataclass(frozen=True)
class Text:
    """What is asked about one prompt: its ids int64 [tokens], as bytes, and the layer whose states are wanted.

    `skip_layers` counts back from the last layer; `final_norm` says whether the states go through the final norm.
    """

    input_ids: bytes
    skip_layers: int = 0
    final_norm: bool = True


@dataclass(frozen=True)
class Encoded:
    """hidden_states [tokens, hidden] and pooled [projection], and what the model said about itself."""

    hidden_states: npt.NDArray[np.float32]
    pooled: npt.NDArray[np.float32]
    about: str

    @property
    def is_finite(self) -> bool:
        """Whether no number in it is NaN or infinite."""
        return bool(np.isfinite(self.hidden_states).all() and np.isfinite(self.pooled).all())


class PromptEncoder:
    """Results are cached by (model, LoRA set, text) for as long as the model is placed."""

    def __init__(self, pool: ReplicaPool, timeout_s: float) -> None:
        self._pool = pool
        self._timeout_s = timeout_s
        self._cache: OrderedDict[tuple[str, bytes, Text], Encoded] = OrderedDict()
        pool.on_withdrawal(self._forget)

    async def encode(
        self, model: PlacedModel, texts: Sequence[Text], lora_set: LoraSet, request_id: str, use: StageUse
    ) -> list[Encoded]:
        """What one text encoder makes of each text, by one call for those not remembered."""
        keys = [(model.name, lora_set.key, text) for text in texts]
        missing = list(dict.fromkeys(key for key in keys if key not in self._cache))
        found = {key: self._cache[key] for key in keys if key in self._cache}
        if missing:
            began = time.monotonic()
            tensors = _tensors([text for *_, text in missing])
            outputs, replica = await self._pool.run(
                model, lambda at: self._infer(at, model, tensors, lora_set, request_id)
            )
            use.add(model, time.monotonic() - began, [(outputs, replica)])
            found |= dict(zip(missing, _encoded(outputs, replica.about(model)), strict=True))
        use.not_finite |= not all(encoded.is_finite for encoded in found.values())
        for key in keys:
            use.note(model, found[key].about)
            self._cache[key] = found[key]
            self._cache.move_to_end(key)
        while len(self._cache) > _CACHE_ENTRIES:
            self._cache.popitem(last=False)
        return [found[key] for key in keys]

    def _forget(self, model_name: str) -> None:
        """The name may come back with other weights."""
        for key in [key for key in self._cache if key[0] == model_name]:
            del self._cache[key]

    async def _infer(
        self, replica: Replica, model: PlacedModel, tensors: Tensors, lora_set: LoraSet, request_id: str
    ) -> Tensors:
        """One call; the LoRA set is brought only where the replica does not know it."""

        async def send(loras: Tensors) -> Tensors:
            return await replica.infer(model, tensors | loras, request_id, self._timeout_s)

        return await lora_set.infer(send, len(tensors["input_ids"]), known=True, timeout_s=self._timeout_s)


def _tensors(texts: Sequence[Text]) -> Tensors:
    return {
        "input_ids": np.stack([np.frombuffer(text.input_ids, np.int64) for text in texts]),
        "skip_layers": np.array([[text.skip_layers] for text in texts], np.int32),
        "final_norm": np.array([[text.final_norm] for text in texts]),
    }


def _encoded(outputs: Tensors, about: str) -> list[Encoded]:
    """One for each sample; copies, for a view of one would keep the whole answer."""
    rows = (outputs[name].astype(np.float32, copy=False) for name in ("hidden_states", "pooled"))
    return [Encoded(states.copy(), pooled.copy(), about) for states, pooled in zip(*rows, strict=True)]

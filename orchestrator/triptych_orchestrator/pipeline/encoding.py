"""The encoder stage: prompts become conditionings, remembered by what they were made from."""

from __future__ import annotations

import time
from collections import OrderedDict

import numpy as np
import numpy.typing as npt

from triptych_orchestrator.stages.conditioning import Conditioning
from triptych_orchestrator.stages.lora_sets import LoraSet
from triptych_orchestrator.stages.pool import PlacedModel, Replica, ReplicaPool
from triptych_orchestrator.stages.triton import Tensors
from triptych_orchestrator.stages.use import StageUse

_CACHE_ENTRIES = 256


class PromptEncoder:
    """Encodes token ids [tokens]; results are cached by (model, LoRA set, ids) for as long as the model is placed."""

    def __init__(self, pool: ReplicaPool, timeout_s: float) -> None:
        self._pool = pool
        self._timeout_s = timeout_s
        self._cache: OrderedDict[tuple[str, bytes, bytes], Conditioning] = OrderedDict()
        pool.on_withdrawal(self._forget)

    async def encode(
        self, model: PlacedModel, input_ids: npt.NDArray[np.int64], lora_set: LoraSet, request_id: str, use: StageUse
    ) -> list[Conditioning]:
        """One Conditioning for each row of input_ids [B, tokens], by one call for those not remembered."""
        keys = [(model.name, lora_set.key, row.tobytes()) for row in input_ids]
        missing = list(dict.fromkeys(key for key in keys if key not in self._cache))
        found = {key: self._cache[key] for key in keys if key in self._cache}
        if missing:
            ids = np.stack([np.frombuffer(key[2], np.int64) for key in missing])
            began = time.monotonic()
            outputs, replica = await self._pool.run(
                model, lambda at: self._infer(at, model, {"input_ids": ids}, lora_set, request_id)
            )
            use.add(time.monotonic() - began, [(outputs, replica)])
            states = outputs["hidden_states"].astype(np.float32, copy=False)
            found |= {key: Conditioning.of(state.copy()) for key, state in zip(missing, states, strict=True)}
        use.not_finite |= not all(np.isfinite(conditioning.states).all() for conditioning in found.values())
        for key in keys:
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
        self, replica: Replica, model: PlacedModel, ids: Tensors, lora_set: LoraSet, request_id: str
    ) -> Tensors:
        """One call; the LoRA set is brought only where the replica does not know it."""

        async def send(loras: Tensors) -> Tensors:
            return await replica.infer(model, ids | loras, request_id, self._timeout_s)

        return await lora_set.infer(send, len(ids["input_ids"]), known=True, timeout_s=self._timeout_s)

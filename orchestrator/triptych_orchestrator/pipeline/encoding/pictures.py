"""What IP-Adapters make of pictures, for a UNet to look at beside the text: keys and values of its cross-attentions.

Neither changes from step to step, so that they are a part of a conditioning and travel once; nor does what they count
for, which the values are multiplied by.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from triptych.contract import IMAGE_ENCODER, IMAGE_PROMPT
from triptych_orchestrator.jobs.tasks.ip_adapters import JobIpAdapter
from triptych_orchestrator.library.entry import Entry
from triptych_orchestrator.stages.conditioning import Conditioning
from triptych_orchestrator.stages.pool import PlacedModel, ReplicaPool
from triptych_orchestrator.stages.use import StageUse

Array = npt.NDArray[np.float32]

_MOST_CACHE_BYTES = 128 * 1024 * 1024
# In the place of a picture, for the negative prompt; which one it is makes no difference.
_NOTHING = bytes(3)


@dataclass(frozen=True)
class _Seen:
    """[2, tokens, widths] of one picture, and what the model said about itself."""

    prompt: Array
    about: str


class PictureEncoder:
    """Results are cached by (model, picture) for as long as the model is placed."""

    def __init__(self, pool: ReplicaPool, timeout_s: float) -> None:
        self._pool = pool
        self._timeout_s = timeout_s
        self._cache: OrderedDict[tuple[str, bytes], _Seen] = OrderedDict()
        pool.on_withdrawal(self._forget)

    async def shown(
        self,
        conditionings: Sequence[Conditioning],
        adapters: Sequence[JobIpAdapter],
        entries: Mapping[str, Entry],
        request_id: str,
        use: StageUse,
    ) -> Sequence[Conditioning]:
        """The conditionings, of which the last is the prompt's, with what the adapters make of their pictures.

        As diffusers has it, the negative prompt's is with as many pictures of nothing.
        """
        counting = [each for each in adapters if each.scale]
        if not counting:
            return conditionings
        models = [entries[each.name].models()[IMAGE_ENCODER.name] for each in counting]
        sides = []
        for is_negative in (place < len(conditionings) - 1 for place in range(len(conditionings))):
            prompts = [
                await self._prompt(model, each, is_negative, request_id, use)
                for model, each in zip(models, counting, strict=True)
            ]
            sides.append(_together(prompts))
        return [each.beside(**{IMAGE_PROMPT.name: prompt}) for each, prompt in zip(conditionings, sides, strict=True)]

    async def _prompt(
        self, model: PlacedModel, adapter: JobIpAdapter, is_negative: bool, request_id: str, use: StageUse
    ) -> Array:
        """One adapter's, the tokens of its pictures one after the other."""
        pictures = [b""] * len(adapter.images) if is_negative else adapter.images
        seen = [await self._seen(model, picture, adapter.size, request_id, use) for picture in pictures]
        prompt = np.concatenate([each.prompt for each in seen], axis=1)
        prompt[1] *= np.float32(adapter.scale)
        return prompt

    async def _seen(self, model: PlacedModel, picture: bytes, size: int, request_id: str, use: StageUse) -> _Seen:
        key = model.name, hashlib.sha256(picture).digest()
        if key not in self._cache:
            pixels = np.frombuffer(picture or _NOTHING, np.uint8).reshape(1, *([size] * 2 if picture else [1, 1]), 3)
            tensors = {"image": pixels, "shown": np.array([[bool(picture)]], np.uint8)}
            began = time.monotonic()
            outputs, replica = await self._pool.run(
                model, lambda at: at.infer(model, tensors, request_id, self._timeout_s)
            )
            use.add(model, time.monotonic() - began, [(outputs, replica)])
            prompt = outputs[IMAGE_PROMPT.name][0].astype(np.float32)
            self._cache[key] = _Seen(prompt, replica.about(model))
        seen = self._cache[key]
        self._cache.move_to_end(key)
        self._shrink()
        use.note(model, seen.about)
        use.not_finite |= not np.isfinite(seen.prompt).all()
        return seen

    def _shrink(self) -> None:
        while len(self._cache) > 1 and sum(each.prompt.nbytes for each in self._cache.values()) > _MOST_CACHE_BYTES:
            self._cache.popitem(last=False)

    def _forget(self, model_name: str) -> None:
        """The name may come back with other weights."""
        for key in [key for key in self._cache if key[0] == model_name]:
            del self._cache[key]


def _together(prompts: Sequence[Array]) -> Array:
    """Several adapters', [sides, tokens, widths]; where they have unlike tokens, each one's come as often as it takes.

    All being there equally often, a softmax's weights are shared among them and their sum is what it was.
    """
    tokens = math.lcm(*(prompt.shape[1] for prompt in prompts))
    return np.concatenate([np.tile(prompt, (1, tokens // prompt.shape[1], 1)) for prompt in prompts])

"""The safety checker: what it finds is black in the result, as in diffusers' StableDiffusionPipeline."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from triptych.contract import SAFETY_CHECKER
from triptych_orchestrator import metrics
from triptych_orchestrator.pipeline.hooks.base import Drawn, Finished, Hook, Pixels
from triptych_orchestrator.pipeline.tiling.calls import answers
from triptych_orchestrator.stages.pool import ReplicaPool
from triptych_orchestrator.stages.triton import Tensors


class SafetyCheck(Hook):
    """By the checkpoint's own checker, which looks at every picture; a request whose pictures it cannot see fails."""

    name = SAFETY_CHECKER.name
    models = (SAFETY_CHECKER.name,)
    # What an estimate shows, a checker that was made for pictures need not see.
    shows_previews = False

    def __init__(self, pool: ReplicaPool, timeout_s: float) -> None:
        self._pool = pool
        self._timeout_s = timeout_s

    async def finish(self, pictures: Sequence[Finished], drawn: Drawn) -> tuple[list[Finished], list[str]]:
        """Those that are not to be shown become black."""
        asked: list[Tensors] = [{"image": picture.pixels[None]} for picture in pictures]
        flags = [bool(outputs["nsfw"].any()) for outputs in await answers(asked, partial(self._infer, drawn))]
        metrics.FLAGGED_PICTURES.labels(drawn.entry.name).inc(sum(flags))
        return [_judged(*each) for each in zip(pictures, flags, strict=True)], _warnings(flags)

    async def _infer(self, drawn: Drawn, tensors: Tensors) -> Tensors:
        began, model = time.monotonic(), drawn.entry.models()[SAFETY_CHECKER.name]
        outputs, replica = await self._pool.run(
            model, lambda at: at.infer(model, tensors, drawn.request_id, self._timeout_s)
        )
        drawn.use.add(model, time.monotonic() - began, [(outputs, replica)])
        return outputs


def _judged(picture: Finished, is_flagged: bool) -> Finished:
    pixels: Pixels = np.zeros_like(picture.pixels) if is_flagged else picture.pixels
    return replace(picture, pixels=pixels, nsfw_content_detected=is_flagged)


def _warnings(flags: Sequence[bool]) -> list[str]:
    if not any(flags):
        return []
    which = "the picture" if len(flags) == 1 else f"{sum(flags)} of {len(flags)} pictures"
    return [f"{which} may not be safe for work and came back black; another prompt or seed may help"]

"""One request from its prompt to its pictures: the stations of ARCHITECTURE.md in order."""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, closing
from dataclasses import replace

import numpy as np

from triptych.contract import STAGES, UNET, VAE_DECODER
from triptych.legible import legible
from triptych_orchestrator.batching.batcher import Ticket
from triptych_orchestrator.batching.seats import Batchers
from triptych_orchestrator.jobs.events import Result, StageTiming, Step
from triptych_orchestrator.jobs.hints.preprocessors import Preprocessors
from triptych_orchestrator.jobs.job import Job
from triptych_orchestrator.library.entry import Entry
from triptych_orchestrator.library.upscalers import Pixels, Upscalers, enlarged
from triptych_orchestrator.pipeline.beginning import Beginning
from triptych_orchestrator.pipeline.begun import Begun
from triptych_orchestrator.pipeline.conditions import conditions_of
from triptych_orchestrator.pipeline.controlling import net_of
from triptych_orchestrator.pipeline.denoiser import Denoiser
from triptych_orchestrator.pipeline.encoding.pictures import PictureEncoder
from triptych_orchestrator.pipeline.encoding.texts import PromptEncoder
from triptych_orchestrator.pipeline.expert import Expert, latent_shape
from triptych_orchestrator.pipeline.guiding import guidance_of
from triptych_orchestrator.pipeline.hooks.base import Drawn, Hooks
from triptych_orchestrator.pipeline.inpainting import laid_on
from triptych_orchestrator.pipeline.plan import FromBefore, Pass, models_of, plan_of
from triptych_orchestrator.pipeline.size_checks import SizeChecks
from triptych_orchestrator.pipeline.tiling.tiles import Tiling
from triptych_orchestrator.pipeline.vae import Vae
from triptych_orchestrator.pipeline.writing.made_of import made_of
from triptych_orchestrator.pipeline.writing.pictures import pictures_of
from triptych_orchestrator.sampling.loop import Latents
from triptych_orchestrator.settings import Limits
from triptych_orchestrator.stages.lora_sets import LoraSet
from triptych_orchestrator.stages.pool import ReplicaPool
from triptych_orchestrator.stages.use import StageUse, unsound

logger = logging.getLogger("triptych.painter")

_DEFAULT_LIMITS = Limits()
_WARNING_BYTES = 4096


class Painter:
    """Runs jobs on the stages; one for the whole server."""

    def __init__(
        self,
        pool: ReplicaPool,
        call_timeout_s: float,
        limits: Limits = _DEFAULT_LIMITS,
        upscalers: Upscalers | None = None,
        hooks: Hooks | None = None,
        preprocessors: Preprocessors | None = None,
    ) -> None:
        self.pool = pool
        self.hooks = hooks or Hooks()
        self.upscalers = upscalers or Upscalers()
        self.preprocessors = preprocessors or Preprocessors()
        self._timeout_s = call_timeout_s
        self.batchers = Batchers(call_timeout_s, limits.max_batch_samples)
        self._tiling = Tiling(limits.max_untiled_pixels, limits.vae_tile_size)
        pool.on_withdrawal(self.batchers.forget)
        self._encoder = PromptEncoder(pool, call_timeout_s)
        self._pictures = PictureEncoder(pool, call_timeout_s)
        self._sizes = SizeChecks(pool, call_timeout_s)

    async def paint(
        self, job: Job, entries: Mapping[str, Entry], queue_seconds: float, deadline_s: float = math.inf
    ) -> AsyncGenerator[Step | Result, None]:
        """Yields one Step for each step and at last the Result; `deadline_s` says how urgent its steps are.

        `entries` are the checkpoints of the job's plan, its ControlNets and IP-Adapters, and the VAE alone where one is
        asked for.
        """
        began = time.monotonic()
        if job.preview_every_steps and (hidden := self.hooks.without_previews):
            job = replace(job, preview_every_steps=0, warnings=(*job.warnings, hidden))
        uses = {stage: StageUse() for stage in STAGES}
        plan, tiling = plan_of(job), replace(self._tiling, axes=job.tiling)
        for one in plan:
            checkpoint, decoder = entries[one.checkpoint].opened, entries[one.vae].models()[VAE_DECODER.name]
            for shape in tiling.decoded_shapes(latent_shape(one, checkpoint), checkpoint.vae_scale_factor):
                await self._sizes.require(decoder, shape, job.request_id, job.tiling)
        ticket = Ticket(job.request_id, job.priority, deadline_s)
        experts = [await self._expert(job, one, entries, ticket, uses) for one in plan]
        latents = np.empty(0, np.float32)
        async with aclosing(_steps(job, experts, self.hooks)) as steps:
            async for left, event in steps:
                latents = left
                yield event
        images = await experts[-1].vae.decode(latents)
        if job.inpaint and job.inpaint.originals:
            images = await laid_on(images, job.inpaint.originals)
        images = await self._upscaled(job, images)
        finished, done = await self.hooks.finish(images, Drawn(job.request_id, entries[job.checkpoint], uses["vae"]))
        told = dict.fromkeys(warning for expert in experts for warning in expert.warnings)
        models = {name: abouts for use in uses.values() for name, abouts in use.made_by.items()}
        tile_size = max(expert.vae.tile_size for expert in experts)
        networks = self.upscalers.networks(each.upscaler for each in (job.hires, job.upscale) if each)
        networks |= self.preprocessors.networks(each.preparation.preprocessor for each in job.controls)
        models |= self.pool.abouts(model for one in networks.values() for model in one.models().values())
        of = await made_of({**entries, **networks}, models)
        of = replace(of, vae_tile_size=tile_size, watermark=self.hooks.watermark)
        pictures, unwritten = await asyncio.to_thread(pictures_of, job, finished, of)
        warnings = [*told, *job.loras.warnings, *job.warnings, *done, *unwritten, *unsound(uses)]
        yield Result(
            request_id=job.request_id,
            images=pictures,
            warnings=[legible(warning, _WARNING_BYTES) for warning in warnings],
            total_seconds=queue_seconds + time.monotonic() - began,
            queue_seconds=queue_seconds,
            stages={stage: _timing(use) for stage, use in uses.items()},
        )

    def models_of(self, job: Job) -> dict[str, set[str]]:
        """By checkpoints, the models that it needs of each besides those that every job needs."""
        needed = models_of(plan_of(job))
        needed[job.checkpoint] |= self.hooks.models
        return needed

    async def _upscaled(self, job: Job, images: list[Pixels]) -> list[Pixels]:
        """What is enlarged at last; as it is where nothing is."""
        if not (larger := job.upscale):
            return images
        upscaler, size = self.upscalers.get("upscale.upscaler", larger.upscaler), (larger.width, larger.height)
        return [await enlarged(image, upscaler, size, job.request_id) for image in images]

    async def _expert(
        self, job: Job, one: Pass, entries: Mapping[str, Entry], ticket: Ticket, uses: Mapping[str, StageUse]
    ) -> Expert:
        """One pass with all that its loop needs, its prompts encoded."""
        entry, vae_entry = entries[one.checkpoint], entries[one.vae]
        conditions = await conditions_of(job, one, entry, self._encoder, uses["encoder"])
        conditionings = await self._pictures.shown(
            conditions.conditionings, one.ip_adapters, entries, job.request_id, uses["encoder"]
        )
        denoiser = Denoiser(
            self.pool,
            self.batchers,
            entry.models()[UNET.name],
            guidance_of(conditionings, job.guidance_scale, one.edit),
            LoraSet.of(one.loras.get(UNET.name, ())),
            ticket,
            job.guidance_rescale,
            uses["unet"],
            job.tiling,
        )
        scaling = entry.opened.scaling_with(vae_entry.opened)
        tiling = replace(self._tiling, axes=job.tiling)
        vae = Vae(self.pool, vae_entry, scaling, tiling, job.request_id, self._timeout_s, uses["vae"])
        beginning = Beginning(one, vae, self.upscalers, job.request_id)
        nets = {control.name: net_of(entries[control.name]) for control in one.controls}
        return Expert(one, entry.opened, denoiser, vae, beginning, conditions.warnings, nets)


async def _steps(job: Job, experts: Sequence[Expert], hooks: Hooks) -> AsyncGenerator[tuple[Latents, Step], None]:
    """All passes, one after the other: the latents after each step, and its event, counted through them."""
    randomness = experts[0].randomness(job)
    solvers = [expert.solver(job) for expert in experts]
    windows = [expert.one.evaluations(solver) for expert, solver in zip(experts, solvers, strict=True)]
    total, done, begun = sum(map(len, windows)), 0, Begun()
    for expert, solver, window in zip(experts, solvers, windows, strict=True):
        if not isinstance(expert.one.source, FromBefore):
            randomness = expert.randomness(job)
        with closing(expert.denoiser):
            begun = await expert.begin(job, solver, begun, randomness)
            async for state, event in expert.steps(job, solver, begun, randomness):
                begun, event.step, event.total = begun.at(state.latents), done + event.step, total
                if job.preview_every_steps and event.step % job.preview_every_steps == 0 and event.step < total:
                    event.preview_png = await expert.preview(solver, state, hooks)
                yield state.latents, event
        done += len(window)


def _timing(use: StageUse) -> StageTiming:
    return StageTiming(
        calls=use.calls,
        wall_seconds=use.wall_seconds,
        engine_seconds=use.engine_seconds,
        refit_seconds=use.refit_seconds,
        replicas=use.replicas,
        split_calls=use.split_calls,
        engine_share_seconds=use.engine_share_seconds,
    )

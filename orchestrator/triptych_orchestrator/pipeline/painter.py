"""One request from its prompt to its pictures: the stations of ARCHITECTURE.md in order."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import closing

import numpy as np
import numpy.typing as npt

from triptych.checkpoint import Checkpoint
from triptych.checkpoint.identity.digests import SHORT_LETTERS
from triptych.contract import UNET, VAE_DECODER
from triptych.errors import TriptychError
from triptych.legible import legible
from triptych_orchestrator import metrics
from triptych_orchestrator.batching.batcher import Ticket
from triptych_orchestrator.batching.seats import Batchers
from triptych_orchestrator.jobs.events import Picture, Result, StageTiming, Step
from triptych_orchestrator.jobs.job import Job
from triptych_orchestrator.library.entry import Entry
from triptych_orchestrator.pipeline.beginning import begin
from triptych_orchestrator.pipeline.conditions import conditions_of
from triptych_orchestrator.pipeline.denoiser import Denoiser
from triptych_orchestrator.pipeline.encoding import PromptEncoder
from triptych_orchestrator.pipeline.images import describe, encode_png
from triptych_orchestrator.pipeline.plan import Pass, plan_of
from triptych_orchestrator.pipeline.size_checks import SizeChecks
from triptych_orchestrator.pipeline.vae import Vae
from triptych_orchestrator.sampling.guidance import classifier_free
from triptych_orchestrator.sampling.loop import LoopState, sample
from triptych_orchestrator.sampling.noise import Generator, draw
from triptych_orchestrator.sampling.schedulers import corrected_config, make_solver
from triptych_orchestrator.stages.lora_sets import LoraSet
from triptych_orchestrator.stages.pool import ReplicaPool
from triptych_orchestrator.stages.use import StageUse, unsound

_WARNING_BYTES = 4096


class Painter:
    """Runs jobs on the stages; one for the whole server."""

    def __init__(self, pool: ReplicaPool, call_timeout_s: float, max_batch_samples: int = 0) -> None:
        self._pool = pool
        self._timeout_s = call_timeout_s
        self.batchers = Batchers(call_timeout_s, max_batch_samples)
        pool.on_withdrawal(self.batchers.forget)
        self._encoder = PromptEncoder(pool, call_timeout_s)
        self._sizes = SizeChecks(pool, call_timeout_s)

    async def paint(
        self, job: Job, entry: Entry, queue_seconds: float, deadline_s: float = math.inf
    ) -> AsyncGenerator[Step | Result, None]:
        """Yields one Step for each step and at last the Result; `deadline_s` says how urgent its steps are."""
        began = time.monotonic()
        if entry.checkpoint is None:
            raise RuntimeError(f"checkpoint {entry.name} is in use but not open")
        vae = Vae(self._pool, entry, job.request_id, self._timeout_s)
        uses = {"encoder": StageUse(), "vae": vae.use}
        for one in plan_of(job):
            shape = _latent_shape(one, entry.checkpoint)
            await self._sizes.require(entry.models()[VAE_DECODER.name], shape, job.request_id)
        conditions = await conditions_of(job, entry, self._encoder, uses["encoder"])
        warnings = [*conditions.warnings, *job.loras.warnings, *job.warnings]
        denoiser = Denoiser(
            self._pool,
            self.batchers,
            entry.models()[UNET.name],
            list(zip(conditions.conditionings, classifier_free(job.guidance_scale), strict=True)),
            LoraSet.of(job.loras.of(UNET.name)),
            Ticket(job.request_id, job.priority, deadline_s),
            job.guidance_rescale,
        )
        latents = np.empty(0, np.float32)
        with closing(denoiser):
            for one in plan_of(job):
                async for state, event in _steps(one, job, entry.checkpoint, denoiser, vae):
                    latents = state.latents
                    yield event
        images = await vae.decode(latents)
        uses["unet"] = denoiser.use
        warnings += unsound(uses)
        pictures = await asyncio.to_thread(_pictures, job, await _model_hash(entry), images)
        yield Result(
            request_id=job.request_id,
            images=pictures,
            warnings=[legible(warning, _WARNING_BYTES) for warning in warnings],
            total_seconds=queue_seconds + time.monotonic() - began,
            queue_seconds=queue_seconds,
            stages={stage: _timing(use) for stage, use in uses.items()},
        )


async def _steps(
    one: Pass, job: Job, checkpoint: Checkpoint, denoiser: Denoiser, vae: Vae
) -> AsyncIterator[tuple[LoopState, Step]]:
    """One pass, with a Step for each step."""
    config = corrected_config(job.scheduler, checkpoint.scheduler_config, checkpoint.family.scheduler_config)
    solver = make_solver(job.scheduler, config, job.num_inference_steps, eta=job.eta)
    shape = (job.num_images_per_prompt, *_latent_shape(one, checkpoint))
    generators = [Generator(seed) for seed in job.seeds]
    engine_before = share_before = 0.0
    scaling = checkpoint.components[VAE_DECODER.name].latent_scaling
    latents, first = await begin(one, solver, shape, generators, vae, scaling)
    async for state in sample(solver, latents, denoiser, lambda: draw(generators, shape), first):
        event = Step(
            step=state.step,
            total=state.total,
            timestep=state.timestep,
            step_seconds=state.seconds,
            engine_seconds=denoiser.use.engine_seconds - engine_before,
            batch_size=denoiser.use.batch_samples,
            replicas=denoiser.use.last_replicas,
            engine_share_seconds=denoiser.use.engine_share_seconds - share_before,
        )
        metrics.STEPS.labels(one.checkpoint, job.scheduler).inc()
        if job.preview_every_steps and event.step % job.preview_every_steps == 0 and event.step < event.total:
            estimate = solver.predict_original(state.noise_pred, state.index, state.previous)[:1]
            preview = await vae.decode(estimate)
            event.preview_png = await asyncio.to_thread(encode_png, preview[0])
        engine_before, share_before = denoiser.use.engine_seconds, denoiser.use.engine_share_seconds
        yield state, event


def _latent_shape(one: Pass, checkpoint: Checkpoint) -> tuple[int, int, int]:
    """[C, h, w] of one picture's latents."""
    scale = checkpoint.vae_scale_factor
    return checkpoint.latent_channels, one.height // scale, one.width // scale


async def _model_hash(entry: Entry) -> str:
    """By which others know the single file that a picture is of; "" where there is none, or none can be had."""
    if entry.checkpoint is None or entry.checkpoint.source.format != "single-file":
        return ""
    try:
        return (await entry.sha256())[:SHORT_LETTERS]
    except TriptychError:  # a picture is not lost for it, and the log has it
        return ""


def _pictures(job: Job, model_hash: str, images: list[npt.NDArray[np.uint8]]) -> list[Picture]:
    seeds = job.seeds if len(job.seeds) == len(images) else job.seeds * len(images)
    return [
        Picture(encode_png(pixels, describe(job, seed, index, model_hash)), seed, job.width, job.height)
        for index, (pixels, seed) in enumerate(zip(images, seeds, strict=True))
    ]


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

"""One pass at work: the checkpoint that does it, who denoises for it and who decodes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from triptych.checkpoint import Checkpoint
from triptych.checkpoint.families.controlnet import count_residuals
from triptych.contract import UNET
from triptych_orchestrator import metrics
from triptych_orchestrator.jobs.events import Step
from triptych_orchestrator.jobs.job import Job
from triptych_orchestrator.pipeline.beginning import Beginning
from triptych_orchestrator.pipeline.begun import Begun
from triptych_orchestrator.pipeline.controlling import Net, controlling
from triptych_orchestrator.pipeline.denoiser import Denoiser
from triptych_orchestrator.pipeline.hooks.base import Hooks
from triptych_orchestrator.pipeline.plan import Pass
from triptych_orchestrator.pipeline.vae import Vae
from triptych_orchestrator.pipeline.writing.files import encode_png
from triptych_orchestrator.sampling.loop import LoopState, sample
from triptych_orchestrator.sampling.schedulers import Solver, corrected_config, make_solver
from triptych_orchestrator.sampling.variations import Randomness


@dataclass(frozen=True)
class Expert:
    """`warnings` are about the texts that its text encoders read; `nets` are its ControlNets, by name."""

    one: Pass
    checkpoint: Checkpoint
    denoiser: Denoiser
    vae: Vae
    beginning: Beginning
    warnings: Sequence[str] = ()
    nets: Mapping[str, Net] = field(default_factory=dict)

    def solver(self, job: Job) -> Solver:
        """A fresh one, with the checkpoint's own configuration."""
        own = self.checkpoint.scheduler_config
        config = corrected_config(job.scheduler, own, self.checkpoint.pipeline_scheduler_config)
        return make_solver(job.scheduler, config, self.one.num_inference_steps, eta=job.eta)

    def randomness(self, job: Job) -> Randomness:
        """From the beginning, for a pass that does not go on from the one before."""
        varied = job.variation.in_latents(self.checkpoint.vae_scale_factor) if job.variation else None
        return Randomness(job.seeds, varied)

    async def begin(self, job: Job, solver: Solver, before: Begun, randomness: Randomness) -> Begun:
        """What its steps go on from; `before` is what the pass before has left."""
        shape = (job.num_images_per_prompt, *latent_shape(self.one, self.checkpoint))
        begun = await self.beginning.begin(solver, shape, randomness, before)
        if self.one.controls:
            residuals = count_residuals(self.checkpoint.components[UNET.name].architecture)
            self.denoiser.control(controlling(job, self.one, self.nets, solver, residuals))
        if self.one.beside:
            self.denoiser.show(await self.one.beside.latents(self.vae, randomness.generators, shape[0]))
        return begun

    async def steps(
        self, job: Job, solver: Solver, begun: Begun, randomness: Randomness
    ) -> AsyncGenerator[tuple[LoopState, Step], None]:
        """Its part of the steps, counted from 1."""
        use, drawn = self.denoiser.use, partial(randomness.draw, begun.latents.shape)
        engine_before, share_before = use.engine_seconds, use.engine_share_seconds
        window, after_step = self.one.evaluations(solver), begun.after_step(solver)
        async for state in sample(solver, begun.latents, self.denoiser, drawn, window, after_step):
            event = Step(
                step=state.step,
                total=state.total,
                timestep=state.timestep,
                step_seconds=state.seconds,
                engine_seconds=use.engine_seconds - engine_before,
                batch_size=use.batch_samples,
                replicas=use.last_replicas,
                engine_share_seconds=use.engine_share_seconds - share_before,
            )
            engine_before, share_before = use.engine_seconds, use.engine_share_seconds
            metrics.STEPS.labels(self.one.checkpoint, job.scheduler).inc()
            yield state, event

    async def preview(self, solver: Solver, state: LoopState, hooks: Hooks) -> bytes:
        """A PNG of the first picture as this state has it."""
        estimate = solver.predict_original(state.noise_pred, state.index, state.previous)[:1]
        pixels = await self.vae.decode(estimate)
        return await asyncio.to_thread(lambda: encode_png(hooks.preview(pixels[0])))


def latent_shape(one: Pass, checkpoint: Checkpoint) -> tuple[int, int, int]:
    """[C, h, w] of one picture's latents."""
    scale = checkpoint.vae_scale_factor
    return checkpoint.latent_channels, one.height // scale, one.width // scale

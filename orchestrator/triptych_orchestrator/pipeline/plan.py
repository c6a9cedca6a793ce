"""What a job is made of: a list of passes, each from a source of latents through a part of a scheduler's steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from triptych.contract import VAE_ENCODER, LoraWeight
from triptych_orchestrator.jobs.extents import Size
from triptych_orchestrator.jobs.job import Job
from triptych_orchestrator.jobs.tasks.controls import HIGH_RES, LOW_RES
from triptych_orchestrator.jobs.tasks.editing import Edit
from triptych_orchestrator.jobs.tasks.hires import Hires
from triptych_orchestrator.jobs.tasks.ip_adapters import JobIpAdapter
from triptych_orchestrator.pipeline.beside import Beside, Shown, ShownMasked
from triptych_orchestrator.sampling.interpolation import LATENT_UPSCALERS
from triptych_orchestrator.sampling.schedulers import Solver


@dataclass(frozen=True)
class FromNoise:
    """Latents that are noise alone."""


@dataclass(frozen=True)
class FromPictures:
    """Those of pictures, with noise on them: RGB, height x width x 3 of the pass; one, or one for each sample."""

    pictures: tuple[bytes, ...]


@dataclass(frozen=True)
class FromMasked:
    """Those of pictures, of which a part is drawn anew: white in the masks, 8-bit grey of the pass's size.

    One mask, or one for each sample. `content` is A1111's masked content; `begins_with_noise`: with noise alone.
    """

    pictures: tuple[bytes, ...]
    masks: tuple[bytes, ...]
    content: str
    begins_with_noise: bool


@dataclass(frozen=True)
class FromBefore:
    """As noisy as the pass before left them."""


@dataclass(frozen=True)
class Enlarged:
    """Those that the pass before has finished, enlarged to this one's size, with noise on them.

    By an upscaler of latents, or by one of pictures, for which they are decoded and encoded again. Where they are of
    another ratio, to a size in pixels that covers this one's; the middle is taken then.
    """

    upscaler: str
    covering: Size | None = None

    @property
    def is_encoded(self) -> bool:
        """Whether pictures are enlarged, so that a VAE's encoder is needed."""
        return self.upscaler not in LATENT_UPSCALERS


@dataclass(frozen=True)
class PassControl:
    """A ControlNet of a pass, by its entry's name; `image` is RGB, height x width x 3 of the pass.

    With `has_mask` it is height x width x 4, white in the last where it is hidden. `union_type`: as of the job's.
    """

    name: str
    image: bytes
    conditioning_scale: float
    guidance_start: float
    guidance_end: float
    control_mode: str
    union_type: int | None = None
    has_mask: bool = False


Source: TypeAlias = FromNoise | FromPictures | FromMasked | FromBefore | Enlarged


@dataclass(frozen=True)
class Pass:
    """One run of the loop with a checkpoint; sizes in pixels. Which of the steps it does: see `Solver.evaluations`.

    `zeroes_negative`: as of the job. `loras` are by the contract's model names. `vae` is the entry whose VAE it is:
    the checkpoint, or a VAE alone. `beside` has its encoder asked.
    """

    source: Source
    width: int
    height: int
    checkpoint: str
    zeroes_negative: bool
    loras: Mapping[str, tuple[LoraWeight, ...]]
    vae: str
    num_inference_steps: int
    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    edit: Edit | None = None
    beside: Beside | None = None
    controls: tuple[PassControl, ...] = ()
    ip_adapters: tuple[JobIpAdapter, ...] = ()

    def evaluations(self, solver: Solver) -> range:
        """The solver's that it does."""
        return solver.evaluations(self.strength, self.start, self.end)


Plan: TypeAlias = Sequence[Pass]


def plan_of(job: Job) -> Plan:
    """The passes in order: the job's checkpoint, again for what is enlarged, and a refiner for the end of the last."""
    passes = [_first(job)]
    if job.hires:
        passes.append(_again(job, passes[0], job.hires))
    if job.refiner:
        last = passes.pop()
        passes += [replace(last, end=job.refiner_start), _refined(job, last)]
    return passes


def _first(job: Job) -> Pass:
    return Pass(
        _source(job),
        job.width,
        job.height,
        job.checkpoint,
        job.zeroes_negative,
        job.loras.sets,
        job.vae or job.checkpoint,
        job.num_inference_steps,
        job.strength,
        edit=job.edit,
        beside=_beside(job),
        controls=_controls(job, (job.width, job.height), HIGH_RES),
        ip_adapters=job.ip_adapters,
    )


def _again(job: Job, first: Pass, hires: Hires) -> Pass:
    return replace(
        first,
        source=Enlarged(hires.upscaler, hires.covering),
        width=hires.width,
        height=hires.height,
        num_inference_steps=hires.num_inference_steps,
        strength=hires.strength,
        controls=_controls(job, (hires.width, hires.height), LOW_RES),
    )


def _refined(job: Job, before: Pass) -> Pass:
    return Pass(
        FromBefore(),
        before.width,
        before.height,
        job.refiner,
        job.refiner_zeroes_negative,
        job.loras.refiner_sets,
        job.vae or job.refiner,
        before.num_inference_steps,
        start=job.refiner_start,
    )


def _controls(job: Job, size: Size, others: str) -> tuple[PassControl, ...]:
    """The job's for a pass of that size, but for those of other passes; a refiner, another's UNet, is under none."""
    return tuple(
        PassControl(
            each.name,
            each.images[size],
            each.conditioning_scale,
            each.guidance_start,
            each.guidance_end,
            each.control_mode,
            each.union_type,
            each.preparation.hides,
        )
        for each in job.controls
        if each.hr_option != others
    )


def _source(job: Job) -> Source:
    if job.inpaint:
        masked = job.inpaint
        begins_with_noise = masked.begins_with_noise(job.strength)
        return FromMasked(job.images, masked.masks, masked.masked_content, begins_with_noise)
    return FromPictures(job.images) if job.images and not job.edit else FromNoise()


def _beside(job: Job) -> Beside | None:
    size = job.width, job.height
    if job.inpaint and job.inpaint.is_seen:
        return ShownMasked(job.images, job.inpaint.masks, *size)
    return Shown(job.images, *size) if job.edit else None


def models_of(plan: Plan) -> dict[str, set[str]]:
    """By checkpoints, the models that it needs of each besides those that every job needs."""
    needed: dict[str, set[str]] = {name: set() for one in plan for name in (one.checkpoint, one.vae)}
    for one in plan:
        is_encoded = isinstance(one.source, FromPictures | FromMasked) or (
            isinstance(one.source, Enlarged) and one.source.is_encoded
        )
        if is_encoded or one.beside:
            needed[one.vae].add(VAE_ENCODER.name)
    return needed

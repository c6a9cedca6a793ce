"""A request with nothing open: all that a worker needs to make the same pictures, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from triptych.checkpoint import MicroConditions
from triptych_orchestrator.jobs.tasks.controls import JobControl
from triptych_orchestrator.jobs.tasks.editing import Edit
from triptych_orchestrator.jobs.tasks.formats import Format
from triptych_orchestrator.jobs.tasks.hires import Hires
from triptych_orchestrator.jobs.tasks.inpainting import Inpaint
from triptych_orchestrator.jobs.tasks.ip_adapters import JobIpAdapter
from triptych_orchestrator.jobs.tasks.upscaling import Upscale
from triptych_orchestrator.jobs.tasks.variations import Varied
from triptych_orchestrator.library.loras.choice import LoraChoice


@dataclass(frozen=True)
class Job:
    """Sizes in pixels. One seed draws for the whole batch, several draw one image each.

    `prompt` is without its LoRA tags; what they ask for is in `loras`, by digest once it is looked up. A second prompt
    that is empty is the first one's; `zeroes_negative`: zeros stand for what the negative prompts would come to.
    `micro_conditions` are those that were given, by their fields. `images` are RGB, height x width x 3: one for all
    pictures or one for each, and none for text-to-image. Without images, and as an `edit`, it does all of its steps.
    `inpaint` says where images are drawn anew. `refiner` is the checkpoint that takes over at `refiner_start`, a share
    of the training schedule; `vae` the one that decodes, and encodes images, in the place of either's own; `tiling` the
    axes along which pictures tile; `hires` a second pass over larger pictures; `upscale` how they are enlarged at last;
    `variation` what the seeds' first noise is changed by; `controls` the ControlNets that the UNet is under, and
    `guess_mode` how they count; `ip_adapters` what it looks at beside the text; `format` is the files'. `warnings` are
    told with the result, and `told` is the request as the pictures tell it. All is JSON as it is, but for the images.
    """

    request_id: str
    checkpoint: str
    prompt: str
    prompt_2: str
    negative_prompt: str
    negative_prompt_2: str
    zeroes_negative: bool
    clip_skip: int
    num_inference_steps: int
    guidance_scale: float
    guidance_rescale: float
    micro_conditions: MicroConditions
    width: int
    height: int
    num_images_per_prompt: int
    seeds: tuple[int, ...]
    scheduler: str
    eta: float
    preview_every_steps: int
    priority: int
    loras: LoraChoice
    images: tuple[bytes, ...] = ()
    strength: float = 1.0
    edit: Edit | None = None
    refiner: str = ""
    refiner_start: float = 1.0
    refiner_zeroes_negative: bool = False
    vae: str = ""
    inpaint: Inpaint | None = None
    tiling: str = ""
    format: Format = field(default_factory=Format)
    hires: Hires | None = None
    upscale: Upscale | None = None
    variation: Varied | None = None
    controls: tuple[JobControl, ...] = ()
    guess_mode: bool = False
    ip_adapters: tuple[JobIpAdapter, ...] = ()
    warnings: tuple[str, ...] = ()
    told: Mapping[str, Any] = field(default_factory=dict)

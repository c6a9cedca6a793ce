"""What a caller asks for, nothing of it checked yet; None stands for what was left open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from triptych.checkpoint import MicroConditions
from triptych_orchestrator.jobs.tasks.controls import AskedControl
from triptych_orchestrator.jobs.tasks.hires import AskedHires
from triptych_orchestrator.jobs.tasks.inpainting import InpaintAsked
from triptych_orchestrator.jobs.tasks.ip_adapters import AskedIpAdapter
from triptych_orchestrator.jobs.tasks.upscaling import AskedUpscale
from triptych_orchestrator.jobs.tasks.variations import AskedVariation
from triptych_orchestrator.library.loras.choice import LoraUse


@dataclass(frozen=True)
class Asked:
    """One request in the public API's names and units, whichever door it came through."""

    request_id: str = ""
    checkpoint: str = ""
    prompt: str = ""
    prompt_2: str = ""
    negative_prompt: str | None = None
    negative_prompt_2: str = ""
    clip_skip: int | None = None
    num_inference_steps: int | None = None
    guidance_scale: float | None = None
    guidance_rescale: float | None = None
    micro_conditions: MicroConditions = field(default_factory=dict)
    """Those that were given, by their fields."""
    width: int | None = None
    height: int | None = None
    num_images_per_prompt: int | None = None
    seeds: tuple[int, ...] = ()
    scheduler: str = ""
    eta: float | None = None
    preview_every_steps: int = 0
    loras: tuple[LoraUse, ...] = ()
    priority: int = 0
    deadline_seconds: float | None = None
    images: tuple[bytes, ...] = ()
    """The files as they were sent."""
    strength: float | None = None
    image_guidance_scale: float | None = None
    refiner: str = ""
    refiner_start: float | None = None
    vae: str = ""
    engine: str = ""
    tiling: str = ""
    image_format: str = ""
    quality: int | None = None
    hires: AskedHires | None = None
    upscale: AskedUpscale | None = None
    variation: AskedVariation = field(default_factory=AskedVariation)
    told: Mapping[str, Any] = field(default_factory=dict)
    """The request as its pictures are to tell it, see `jobs/told.py`."""
    inpaint: InpaintAsked = field(default_factory=InpaintAsked)

    controls: tuple[AskedControl, ...] = ()
    guess_mode: bool = False
    ip_adapters: tuple[AskedIpAdapter, ...] = ()

    @property
    def files(self) -> tuple[bytes, ...]:
        """All pictures that were sent, masks included."""
        controls = (file for control in self.controls for file in control.files)
        prompts = (file for adapter in self.ip_adapters for file in adapter.images)
        return (*self.images, *self.inpaint.mask_images, *controls, *prompts)

"""The scheduler that each kind of checkpoint has in diffusers' own repositories, which `from_single_file` takes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_COMMON: dict[str, Any] = {
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "num_train_timesteps": 1000,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "skip_prk_steps": True,
    "steps_offset": 1,
    "trained_betas": None,
}

PNDM: Mapping[str, Any] = {"_class_name": "PNDMScheduler", **_COMMON}
DDIM: Mapping[str, Any] = {"_class_name": "DDIMScheduler", **_COMMON}
EULER_ANCESTRAL: Mapping[str, Any] = {"_class_name": "EulerAncestralDiscreteScheduler", **_COMMON}
EULER: Mapping[str, Any] = {
    "_class_name": "EulerDiscreteScheduler",
    **_COMMON,
    "interpolation_type": "linear",
    "sample_max_value": 1.0,
    "timestep_spacing": "leading",
    "use_karras_sigmas": False,
}

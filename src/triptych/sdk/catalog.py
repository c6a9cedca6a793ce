"""What a server has and is: its checkpoints, limits and stage replicas, decoded from `triptych.v1`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from triptych.sdk.plain import plain
from triptych.v1 import checkpoints_pb2

_STATE_PREFIX = "CHECKPOINT_STATE_"


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that the server knows. Sizes in pixels, 0 where it names none and requests must."""

    name: str
    path: str
    state: str
    """"registered", "loading", "loaded", "unloading" or "failed"."""
    error: str
    """Why the last load failed; else empty."""
    engine: str
    family: str
    scheduler: str
    """Its own; empty where requests must name one, which a warning explains."""
    default_width: int
    default_height: int
    vae_scale_factor: int
    weights_bytes: int
    variant: str = ""
    """diffusers' variant of the weights, as registered."""
    format: str = ""
    """"diffusers" for a directory, "single-file"."""
    architecture: str = ""
    """Of the UNet; equal where checkpoints share a graph."""
    precision: str = ""
    """Types of the weights, those of the most bytes first."""
    title: str = ""
    sha256: str = ""
    """Of a single file, or of a directory's weights files as `sha256sum` lists them; empty until it is known."""
    trigger_words: list[str] = field(default_factory=list)
    replicas: list[str] = field(default_factory=list)
    """Those that hold any of its weights."""
    vae: str = ""
    """The path of another VAE than its own, where it was registered with one."""
    warnings: list[str] = field(default_factory=list)
    """Worth knowing, not fatal."""
    prediction_type: str = ""
    """"epsilon" or "v_prediction"; "undecided" until the first load where nothing but the UNet can tell."""
    prediction_told_by: str = ""
    purpose: str = ""
    """"drawing", "instructed" (InstructPix2Pix), "inpainting"; of what draws nothing by itself "vae" or "upscaling"."""

    @property
    def short_hash(self) -> str:
        """What AUTOMATIC1111's web UI calls a model's hash."""
        return self.sha256[:10]


@dataclass(frozen=True)
class Limits:
    """What the operator allows one request, and all of them together."""

    max_width: int
    max_height: int
    max_pixels: int
    max_num_inference_steps: int
    max_num_images_per_prompt: int
    max_prompt_characters: int
    max_concurrent_requests: int
    max_queued_requests: int
    max_loras: int
    max_lora_bytes: int
    max_batch_samples: int
    max_lora_uploads: int
    max_kept_loras: int
    max_kept_lora_bytes: int
    max_lora_upload_pause_seconds: int
    max_checkpoints: int
    max_image_bytes: int
    max_image_pixels: int
    max_untiled_pixels: int
    """Pictures of more pixels go through the VAE in overlapping square tiles, `vae_tile_size` pixels a side."""
    vae_tile_size: int
    max_upscaled_pixels: int
    max_unread_seconds: int
    max_checkpoint_read_seconds: int


@dataclass(frozen=True)
class BatchSize:
    """What UNet batches of one size were seen to take on a replica; `samples` is rounded up to a power of two."""

    model: str
    latent_height: int
    latent_width: int
    samples: int
    seconds_per_sample: float
    max_samples: int
    """As large as batches of this model and size may grow, for larger ones took more per sample."""
    tokens: int = 0
    """Of the conditioning, which decides a sample's cost as well."""


@dataclass(frozen=True)
class Replica:
    """One Triton Inference Server of one stage ("encoder", "unet" or "vae")."""

    name: str
    stage: str
    address: str
    ready: bool
    models: list[str]
    batch_sizes: list[BatchSize] = field(default_factory=list)


@dataclass(frozen=True)
class ServerInfo:
    """What the server is and can do."""

    version: str
    schedulers: list[str]
    engines: list[str]
    limits: Limits
    replicas: list[Replica]
    checkpoints: list[Checkpoint] = field(default_factory=list)
    upscalers: list[str] = field(default_factory=list)
    """What enlarges pictures."""
    latent_upscalers: list[str] = field(default_factory=list)
    """What enlarges them between the passes of hires fix, before they are decoded."""
    hooks: list[str] = field(default_factory=list)
    """What becomes of every picture that is drawn before it goes out, in order: "safety_checker", "watermark"."""


def decode_checkpoint(message: Any) -> Checkpoint:
    """From a triptych.v1.Checkpoint."""
    return plain(Checkpoint, message, state=_state_name(message.state))


def decode_server_info(message: Any) -> ServerInfo:
    """From a triptych.v1.ServerInfo."""
    replicas = [
        plain(Replica, replica, batch_sizes=[plain(BatchSize, size) for size in replica.batch_sizes])
        for replica in message.replicas
    ]
    checkpoints = [decode_checkpoint(checkpoint) for checkpoint in message.checkpoints]
    limits = plain(Limits, message.limits)
    return plain(ServerInfo, message, limits=limits, replicas=replicas, checkpoints=checkpoints)


def _state_name(value: int) -> str:
    by_number = checkpoints_pb2.CheckpointState.DESCRIPTOR.values_by_number
    return by_number[value].name.removeprefix(_STATE_PREFIX).lower() if value in by_number else "unknown"

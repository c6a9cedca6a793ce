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
    """By which requests call it."""
    path: str
    """A folder or file that the server and its stages see."""
    state: str
    """"registered", "loading", "loaded", "unloading" or "failed"."""
    error: str
    """Why the last load failed; else empty."""
    engine: str
    """As it was registered; open: the server's own."""
    family: str
    """"stable-diffusion", say."""
    scheduler: str
    """Its own; empty where requests must name one, which a warning explains."""
    default_width: int
    """Of a picture where the request does not say."""
    default_height: int
    """Likewise."""
    vae_scale_factor: int
    """Widths and heights are multiples of it."""
    weights_bytes: int
    """Of all files of weights."""
    variant: str = ""
    """diffusers' variant of the weights, as registered."""
    format: str = ""
    """"diffusers" for a directory, "single-file"."""
    architecture: str = ""
    """Of the UNet; equal where checkpoints share a graph."""
    precision: str = ""
    """Types of the weights, those of the most bytes first."""
    title: str = ""
    """What a single file says of itself."""
    sha256: str = ""
    """Of a single file, or of a directory's weights files as `sha256sum` lists them; empty until it is known."""
    trigger_words: list[str] = field(default_factory=list)
    """Likewise: what prompts may contain for it."""
    replicas: list[str] = field(default_factory=list)
    """Those that hold any of its weights."""
    vae: str = ""
    """The path of another VAE than its own, where it was registered with one."""
    warnings: list[str] = field(default_factory=list)
    """Worth knowing, not fatal."""
    prediction_type: str = ""
    """"epsilon" or "v_prediction"; "undecided" until the first load where nothing but the UNet can tell."""
    prediction_told_by: str = ""
    """What told so: its scheduler, say."""
    purpose: str = ""
    """"drawing", "instructed" (InstructPix2Pix), "inpainting"; of what draws nothing by itself "vae", "upscaling",
    "controlling", "preparing" or "prompting"."""
    union_types: list[str] = field(default_factory=list)
    """Of a union ControlNet the types of pictures that it looks at, for a control's `union_type`."""
    image_encoder: str = ""
    """The path of an IP-Adapter's image encoder, where it was registered with one."""

    @property
    def short_hash(self) -> str:
        """What AUTOMATIC1111's web UI calls a model's hash."""
        return self.sha256[:10]


@dataclass(frozen=True)
class Limits:
    """What the operator allows one request, and all of them together."""

    max_width: int
    """Pixels of a picture."""
    max_height: int
    """Pixels of a picture."""
    max_pixels: int
    """Of a picture, width times height."""
    max_num_inference_steps: int
    """Of a request."""
    max_num_images_per_prompt: int
    """Of a request."""
    max_prompt_characters: int
    """Of each text."""
    max_concurrent_requests: int
    """That run."""
    max_queued_requests: int
    """That wait; further ones are refused."""
    max_loras: int
    """Of a request."""
    max_lora_bytes: int
    """Of a LoRA's file."""
    max_batch_samples: int
    """Of the UNet's batches; 0: the server learns it."""
    max_lora_uploads: int
    """At the same time."""
    max_kept_loras: int
    """Names."""
    max_kept_lora_bytes: int
    """Of all files together."""
    max_lora_upload_pause_seconds: int
    """In which an upload may bring nothing."""
    max_checkpoints: int
    """That may be registered."""
    max_image_bytes: int
    """Of all images that a request brings."""
    max_image_pixels: int
    """Of each of them."""
    max_untiled_pixels: int
    """Pictures of more pixels go through the VAE in overlapping square tiles, `vae_tile_size` pixels a side."""
    vae_tile_size: int
    """See `max_untiled_pixels`."""
    max_upscaled_pixels: int
    """Of a picture that is enlarged at last."""
    max_controls: int
    """ControlNets of a request."""
    max_unread_seconds: int
    """In which a client may leave what it is sent unread."""
    max_checkpoint_read_seconds: int
    """That reading a checkpoint's folder may take."""


@dataclass(frozen=True)
class BatchSize:
    """What UNet batches of one size were seen to take on a replica; `samples` is rounded up to a power of two."""

    model: str
    """The UNet's, by its checkpoint."""
    latent_height: int
    """An eighth of the picture's, mostly."""
    latent_width: int
    """Likewise."""
    samples: int
    """Pictures, twice with guidance, rounded up to a power of two."""
    seconds_per_sample: float
    """The least that was seen."""
    max_samples: int
    """As large as batches of this model and size may grow, for larger ones took more per sample."""
    tokens: int = 0
    """Of the conditioning, which decides a sample's cost as well."""
    tiling: str = ""
    """The axes along which the pictures tile: with them another graph is at work."""


@dataclass(frozen=True)
class Replica:
    """One Triton Inference Server of one stage ("encoder", "unet" or "vae")."""

    name: str
    """"unet-0", say."""
    stage: str
    """"encoder", "unet" or "vae"."""
    address: str
    """"host:port"."""
    ready: bool
    """Whether it serves."""
    models: list[str]
    """That it has loaded."""
    batch_sizes: list[BatchSize] = field(default_factory=list)
    """What was learned of a UNet's batches."""


@dataclass(frozen=True)
class ServerInfo:
    """What the server is and can do."""

    version: str
    """Of Triptych."""
    schedulers: list[str]
    """Names for a request's `scheduler`."""
    engines: list[str]
    """"onnxruntime", "torch" and "tensorrt"."""
    limits: Limits
    """What one request may ask for."""
    replicas: list[Replica]
    """The stages' servers."""
    checkpoints: list[Checkpoint] = field(default_factory=list)
    """As `checkpoints()` has them."""
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

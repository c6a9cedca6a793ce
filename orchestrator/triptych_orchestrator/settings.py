"""What an operator decides about an orchestrator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path

from triptych.checkpoint.reading import READ_TIMEOUT_S
from triptych.contract import SAFETY_CHECKER, UNET
from triptych.contract.engines import BUILDING_S
from triptych.errors import invalid

# Of what may be less than 1, or must be more.
_LEAST = {"max_queued_requests": 0, "max_loras": 0, "max_controls": 0, "max_batch_samples": 0, "vae_tile_size": 64}
# What the API's fields can tell a client.
_MOST = 2**32 - 1
_MOST_BYTES = 2**63 - 1


@dataclass(frozen=True)
class Limits:
    """What one request may ask for, and how many may be asked at once; extents in pixels."""

    max_width: int = 2048
    max_height: int = 2048
    max_pixels: int = 1024 * 1024
    max_num_inference_steps: int = 200
    max_num_images_per_prompt: int = 8
    max_prompt_characters: int = 10_000
    # Of the images of one request: the bytes of all their files, and the pixels of each.
    max_image_bytes: int = 32 << 20
    max_image_pixels: int = 64 << 20
    # Pictures of more pixels go through the VAE in tiles, of so many pixels each way.
    max_untiled_pixels: int = 1024 * 1024
    vae_tile_size: int = 512
    # Of a picture that an upscaler makes.
    max_upscaled_pixels: int = 16 << 20
    max_concurrent_requests: int = 16
    max_queued_requests: int = 64
    # With the tags of the prompt.
    max_loras: int = 32
    # ControlNets that one request may be under.
    max_controls: int = 8
    max_lora_bytes: int = 2 << 30
    # Of all LoRAs that the server keeps: their names, and their files with those that are just being sent.
    max_kept_loras: int = 1000
    max_kept_lora_bytes: int = 64 << 30
    max_lora_uploads: int = 8
    # An upload that brings nothing for so long is ended.
    max_lora_upload_pause_seconds: int = 30
    max_checkpoints: int = 256
    # In one UNet batch. 0: for every size as many as is found to be worth it.
    max_batch_samples: int = 0
    # What is sent may wait for its reader that long; then the reader's connection is closed.
    max_unread_seconds: int = 120
    # Until which a checkpoint's directory must have been read, its weights not among it.
    max_checkpoint_read_seconds: int = READ_TIMEOUT_S

    def with_changes(self, changes: Sequence[str]) -> Limits:
        """Applies `name=value` texts; an unknown name or a value out of bounds is an InvalidArgumentError."""
        names = [item.name for item in fields(self)]
        parsed: dict[str, int] = {}
        for change in changes:
            name, _, value = change.partition("=")
            if name not in names:
                raise invalid("limit", f"{name!r} is not one of {', '.join(names)}")
            least, most = _LEAST.get(name, 1), _MOST_BYTES if name.endswith("_bytes") else _MOST
            if not (value.isdecimal() and len(value) <= len(str(most)) and least <= int(value) <= most):
                raise invalid("limit", f"{name} must be a whole number from {least} to {most}, not {value!r}")
            parsed[name] = int(value)
        if parsed.get("max_batch_samples", 0) > UNET.max_batch_size:
            raise invalid("limit", f"max_batch_samples must be at most {UNET.max_batch_size}, or 0 to have it learned")
        return replace(self, **parsed)


@dataclass(frozen=True)
class Settings:
    """Addresses are host:port; `stages` maps a stage to its replicas' Triton servers, each any gRPC target."""

    listen: str
    metrics: str | None
    stages: Mapping[str, Sequence[str]]
    state_dir: Path
    checkpoints: Mapping[str, Path] = field(default_factory=dict)
    # For this run alone, and under names that are not kept for others.
    transient_checkpoints: Mapping[str, Path] = field(default_factory=dict)
    # Of the weights of `checkpoints`, as diffusers calls it.
    variants: Mapping[str, str] = field(default_factory=dict)
    # Of those of both that are IP-Adapters, where it does not lie beside them.
    image_encoders: Mapping[str, Path] = field(default_factory=dict)
    loras: Mapping[str, Path] = field(default_factory=dict)
    # Where LoRA files are kept: a folder that the stages read at the same path. None: inside `state_dir`.
    lora_dir: Path | None = None
    engine: str = "onnxruntime"
    limits: Limits = field(default_factory=Limits)
    # How long a request waits for a stage that went away, and how often one call is tried.
    recovery_timeout_s: float = 60.0
    # A stage that takes longer to say that it is alive counts as down; one that refuses to connect does at once.
    liveness_timeout_s: float = 10.0
    call_attempts: int = 4
    # The longest that one call of a stage may take; loading may export a graph first, and build an engine.
    call_timeout_s: float = 600.0
    load_timeout_s: float = BUILDING_S
    # How long requests may go on after SIGTERM; the process ends 3 s later at most. Kubernetes kills after 30.
    drain_timeout_s: float = 20.0
    # Files of those who may call; empty: whoever reaches the server.
    credentials: Sequence[Path] = ()
    # On a public address without credentials.
    open_to_anyone: bool = False
    # PEM files; both or none. `listen` is TLS then, `listen_inside` never is: for the same machine.
    tls_cert: Path | None = None
    tls_key: Path | None = None
    listen_inside: str | None = None
    # What is done to every picture that is drawn: one of SAFETY_CHECKERS, and a text, "" for none.
    safety_checker: str = "off"
    watermark: str = ""

    @property
    def wanted_models(self) -> tuple[str, ...]:
        """The contract's that a checkpoint may lack, and must have here if it draws."""
        return (SAFETY_CHECKER.name,) if self.safety_checker == "checkpoint" else ()

    @property
    def lora_folder(self) -> Path:
        """Where LoRA files are kept."""
        return self.lora_dir or self.state_dir / "loras"

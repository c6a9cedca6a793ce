"""What a generation tells while it runs: Queued, then a Step per scheduler step, then the Result.

for event in client.stream("a red circle"):
    if isinstance(event, Step): print(event.step, event.total)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from io import BytesIO
from typing import Any, TypeAlias

from PIL import Image

from triptych.errors import TriptychError
from triptych.sdk.plain import plain


@dataclass(frozen=True)
class Queued:
    """The request was understood; the fields show what the server filled in. Sizes in pixels."""

    request_id: str
    checkpoint: str
    scheduler: str
    num_inference_steps: int
    width: int
    height: int
    seeds: list[int]


@dataclass(frozen=True)
class Step:
    """One scheduler step is done: `step` of `total`, 1-based."""

    step: int
    total: int
    timestep: float
    step_seconds: float
    """The UNet's calls, waiting for others to share them included, and the scheduler; no preview and no reader."""
    engine_seconds: float
    batch_size: int
    """How many samples shared the UNet batch, this request's own included."""
    replicas: list[str] = field(default_factory=list)
    """The UNet replicas that did it: two where the halves of guidance went to two at once."""
    preview: Image.Image | None = field(default=None, repr=False)
    """The current estimate of the first image, where `preview_every_steps` asked for it."""
    engine_share_seconds: float = 0.0
    """Of the engines' time what this request's samples are of the batches' samples, all replicas together."""


@dataclass(frozen=True)
class StageTiming:
    """One stage's share of a request: round trips, queueing in Triton included, and time in the engine."""

    calls: int
    """How many there were."""
    wall_seconds: float
    """Round trips, queueing included."""
    engine_seconds: float
    """In the engine, whoever shared the calls."""
    replicas: list[str]
    """Those that did it."""
    refit_seconds: float
    """Bringing the request's LoRA weights into the engines, between steps."""
    split_calls: int = 0
    """Of the calls, those whose guidance halves went to two replicas at once."""
    engine_share_seconds: float = 0.0
    """Of the engines' time what this request's samples are of the batches': its cost, whoever shared its calls."""


@dataclass(frozen=True)
class Timings:
    """Seconds of wall-clock, as the orchestrator saw them."""

    total_seconds: float
    """From arrival to the end."""
    queue_seconds: float
    """Of them before its turn came."""
    encoder: StageTiming
    """The texts."""
    unet: StageTiming
    """The steps."""
    vae: StageTiming
    """From and to pictures."""


@dataclass(frozen=True)
class Result:
    """The pictures: `images[i]`, `files[i]`, `pngs[i]` and `seeds[i]` belong together."""

    request_id: str
    images: list[Image.Image]
    pngs: list[bytes] = field(repr=False)
    """The files where they are PNGs, and b"" where `image_format` asked for another."""
    seeds: list[int]
    timings: Timings
    warnings: list[str]
    """Worth knowing, not fatal: a prompt cut at the encoder's limit, say."""
    files: list[bytes] = field(default_factory=list, repr=False)
    """The files as the server wrote them, generation parameters included; `image.save` drops those."""
    image_format: str = "png"
    """What the files are: "png", "jpeg" or "webp"."""
    nsfw_content_detected: list[bool] | None = None
    """For each picture whether it was found not safe for work, and is black therefore; None where nobody looked."""
    watermarked: list[bool] = field(default_factory=list)
    """For each picture whether the server's invisible watermark is in its pixels."""


Event: TypeAlias = Queued | Step | Result


def decode_event(response: Any) -> Event | None:
    """The event in a GenerateResponse; None for a kind that a newer server knows and this client does not."""
    match response.WhichOneof("event"):
        case "queued":
            return plain(Queued, response.queued)
        case "step":
            return _step(response.step)
        case "result":
            return _result(response.result)
    return None


def require_result(last: Event | None) -> Result:
    """The last event of a finished stream, which has to be its Result."""
    if not isinstance(last, Result):
        raise TriptychError("the server ended the stream without a result")
    return last


def _step(message: Any) -> Step:
    return plain(Step, message, preview=_picture(message.preview_png) if message.preview_png else None)


def _result(message: Any) -> Result:
    stages = {name: plain(StageTiming, getattr(message.timings, name)) for name in ("encoder", "unet", "vae")}
    files = [image.file or image.png for image in message.images]
    return plain(
        Result,
        message,
        images=[_picture(file) for file in files],
        pngs=[image.png for image in message.images],
        files=files,
        # A server that knows no others does not say.
        image_format=next((image.format for image in message.images if image.format), "png"),
        seeds=[image.seed for image in message.images],
        nsfw_content_detected=_detected(message.images),
        watermarked=[image.watermarked for image in message.images],
        timings=plain(Timings, message.timings, **stages),
    )


def _detected(images: Any) -> list[bool] | None:
    was_checked = any(image.HasField("nsfw_content_detected") for image in images)
    return [image.nsfw_content_detected for image in images] if was_checked else None


def _picture(file: bytes) -> Image.Image:
    picture = Image.open(BytesIO(file), formats=["PNG", "JPEG", "WEBP"])
    picture.load()
    return picture
